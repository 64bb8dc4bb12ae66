"""There is an example of every operation; tests/e2e/test_api_documented.py runs them."""

from chat.api.examples import EXAMPLES
from chat.api.openapi import operations
from tests.chat.api.test_openapi import WHOLE


def test_every_operation_has_one_and_every_one_an_operation() -> None:
    found = {operation["operationId"]: operation for *_, operation in operations(WHOLE["paths"])}
    assert set(EXAMPLES) == set(found)
    for name, example in EXAMPLES.items():
        named = {one["name"] for one in found[name].get("parameters", ())}
        assert set(example.query) <= named
        assert (example.body is not None) == ("requestBody" in found[name])
