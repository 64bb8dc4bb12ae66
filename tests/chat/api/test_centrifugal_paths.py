"""Centrifugo's calls in the document: what fits is answered by a result, and the answer fits."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from chat.api.centrifugal_paths import NOT_HERE, paths
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import Api
from tests.chat.api.test_openapi import WHOLE

SCHEMAS = WHOLE["components"]["schemas"]


@pytest.fixture(scope="module")
def offered(valkey: EmbeddedEngine) -> Iterator[Api]:
    api = Api(valkey.url, server={"dialects": ("danmaku", "centrifugal")})
    yield api
    api.close()


def fits(schema: dict[str, Any], value: Any) -> bool:
    whole = {**schema, "components": WHOLE["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True).is_valid(value)


@pytest.mark.parametrize("path", list(paths()))
def test_examples_are_answered_as_it_says(offered: Api, path: str) -> None:
    operation = WHOLE["paths"][path]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    answer = offered.send("POST", path, content["examples"]["example"]["value"])
    assert answer.status == 200
    assert "result" in answer.json
    told = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert fits(told, answer.json)
    assert fits(told, {"error": {"code": 107, "message": "x"}})


@pytest.mark.parametrize(
    "body",
    [
        {"channel": "a", "data": "x", "more": 1},
        {"channel": " a", "data": "x"},
        {"channel": "a", "data": {}},
        {"channel": "a"},
        {"channel": "a", "data": "x", "tags": {"a": "b"}},
        {"channel": "a", "data": "x", "idempotency_key": "k" * 65},
    ],
)
def test_what_does_not_fit_is_an_error(offered: Api, body: dict[str, Any]) -> None:
    assert not fits(SCHEMAS["Publish"], body)
    assert "error" in offered.send("POST", "/api/publish", body).json


def test_what_is_not_to_be_had_here_is_left_out() -> None:
    for path in paths():
        content = WHOLE["paths"][path]["post"]["requestBody"]["content"]
        name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert not set(NOT_HERE) & set(SCHEMAS[name]["properties"])


def test_who_may_not_call_is_told_in_their_words(valkey: EmbeddedEngine) -> None:
    api = Api(valkey.url, server={"dialects": ("centrifugal",)}, api={"key": "k"})
    try:
        answer = api.send("POST", "/api/info", {})
        assert answer.status == 401
        refused = WHOLE["components"]["responses"]["CallRefused"]
        assert fits(refused["content"]["application/json"]["schema"], answer.json)
    finally:
        api.close()
