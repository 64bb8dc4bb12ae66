"""What is asked of a node, in the document: answered as it says, in plain text."""

import pytest

from chat.api.node_paths import paths
from tests.chat.api.rig import Api
from tests.chat.api.test_openapi import DOCUMENT


@pytest.mark.parametrize("path", list(paths()))
def test_each_is_answered_in_plain_text(api: Api, path: str) -> None:
    answer = api.get(path)
    told = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]
    assert answer.status == 200
    assert answer.headers["content-type"].partition(";")[0] in told


def test_metrics_take_a_key_and_probes_none(keyed: Api) -> None:
    told = {path: DOCUMENT["paths"][path]["get"]["responses"] for path in paths()}
    assert keyed.get("/metrics").status == 401
    assert {path for path, responses in told.items() if "401" in responses} == {"/metrics"}
    for path in ("/healthz", "/readyz"):
        assert keyed.get(path).status == 200
        assert "503" in told[path]
