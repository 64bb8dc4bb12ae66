"""The OpenAPI document says what the code does, and the page draws it."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from chat.api.app import create_app
from chat.api.bodies import BadBody, read_broadcast, read_messages
from chat.api.incoming import Drain
from chat.api.metrics import API_FIELDS, Metrics
from chat.api.openapi import document
from chat.config.sections import Config, Limits
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard
from tests.chat.api.rig import NDJSON, Api, messages_of, quoted

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DOCUMENT = document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = ("get", "post", "put", "delete", "patch")
OPERATIONS = [
    (path, method)
    for path, item in DOCUMENT["paths"].items()
    for method in METHODS
    if method in item
]


def refs(value: Any) -> Iterator[str]:
    """Every $ref within."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def good_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values at the edges of what a property's schema allows."""
    if schema.get("nullable"):
        yield None
    if "default" in schema:
        yield schema["default"]
    if "enum" in schema:
        yield from schema["enum"]
    elif schema.get("type") == "integer":
        yield from (schema["minimum"], schema["maximum"])
    elif "pattern" in schema:
        for url in ("http://a", "https://a.example/".ljust(schema["maxLength"], "x")):
            assert re.search(schema["pattern"], url)
            yield url
    elif schema.get("type") == "array":
        yield ["x"] * schema["maxItems"]
    elif schema.get("type") == "string":
        yield "x" * schema.get("minLength", 1)
        yield "x" * schema.get("maxLength", 1)


def bad_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values just beyond them."""
    if not schema.keys() - {"default"}:
        return  # anything goes
    yield {}
    if not schema.get("nullable"):
        yield None
    if "enum" in schema:
        yield "neither"
    elif schema.get("type") == "integer":
        yield from (schema["minimum"] - 1, schema["maximum"] + 1)
    elif "pattern" in schema:
        yield "https://a.example/".ljust(schema["maxLength"] + 1, "x")
        yield "javascript:x"
    elif schema.get("type") == "array":
        yield ["x"] * (schema["maxItems"] + 1)
        yield [""]
    elif "minLength" in schema:
        yield "x" * (schema["minLength"] - 1)
        yield "x" * (schema["maxLength"] + 1)


MESSAGE: dict[str, Any] = SCHEMAS["MessageIn"]["properties"]
GOOD = [(name, value) for name, schema in MESSAGE.items() for value in good_values(schema)]
BAD = [(name, value) for name, schema in MESSAGE.items() for value in bad_values(schema)]


class TestDocument:
    def test_every_reference_leads_somewhere(self) -> None:
        found = set(refs(DOCUMENT))
        assert found
        for ref in found:
            assert ref.removeprefix("#/components/schemas/") in SCHEMAS, ref

    def test_every_route_is_in_it_and_everything_in_it_is_a_route(self) -> None:
        metrics = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1))
        app = create_app(Config(), "unix:///nowhere", metrics, Drain(), 8000)
        served = {
            (route.path, method.lower())
            for route in app.routes
            if isinstance(route, Route) and route.path.startswith("/v1")
            for method in (route.methods or set()) - {"HEAD"}
        }
        assert served == set(OPERATIONS)

    def test_it_has_what_3_0_has_and_no_nulls_of_3_1(self) -> None:
        assert DOCUMENT["openapi"].startswith("3.0.")
        text = json.dumps(DOCUMENT)
        assert '"null"' not in text
        assert "$defs" not in text

    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_no_line_of_a_description_is_indented(self, path: str, method: str) -> None:
        # Markdown would take it for a program.
        for answer in DOCUMENT["paths"][path][method]["responses"].values():
            assert "\n " not in answer["description"]

    def test_it_is_served_as_it_is(self, api: Api) -> None:
        assert api.get("/openapi.json").json == DOCUMENT

    def test_every_parameter_in_a_path_is_described(self) -> None:
        for path, item in DOCUMENT["paths"].items():
            named = {p["name"] for p in item.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


class TestBodies:
    @pytest.mark.parametrize(("name", "value"), GOOD)
    def test_what_it_allows_is_accepted(self, name: str, value: Any) -> None:
        [message] = read_messages(json.dumps({"text": "x", name: value}).encode(), Limits())
        assert getattr(message, name) == value

    @pytest.mark.parametrize(("name", "value"), BAD)
    def test_what_it_does_not_allow_is_refused(self, name: str, value: Any) -> None:
        with pytest.raises(BadBody):
            read_messages(json.dumps({"text": "x", name: value}).encode(), Limits())

    def test_required_fields_are_required_and_others_unknown(self) -> None:
        schema = SCHEMAS["MessageIn"]
        assert schema["required"] == ["text"]
        assert schema["additionalProperties"] is False

    @pytest.mark.parametrize("target", [{"rooms": ["a"]}, {"all": True}, {"users": ["u"]}])
    @pytest.mark.parametrize("what", [{"message": {"text": "x"}}, {"messages": [{"text": "x"}]}])
    def test_a_broadcast_may_say_null_where_it_is_nullable(
        self, target: dict[str, Any], what: dict[str, Any]
    ) -> None:
        properties = SCHEMAS["BroadcastIn"]["properties"]
        nulls = {name: None for name, schema in properties.items() if schema.get("nullable")}
        assert set(nulls) == {"rooms", "users", "message", "messages"}
        _, messages = read_broadcast(json.dumps(nulls | target | what).encode(), Limits())
        assert [message.text for message in messages] == ["x"]


def content_types(path: str, method: str) -> set[str]:
    return set(DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", ()))


class TestAnswers:
    """What the real API answers has the fields that are documented, and the status too."""

    def test_publishing(self, api: Api, room: str) -> None:
        path = "/v1/rooms/{room}/messages"
        assert content_types(path, "post") == {"application/json", NDJSON, "application/jsonl"}
        assert_answers(api.post(room, {"text": "x"}), path, "post")
        assert_answers(api.stream(room, b"bad\n"), path, "post")
        assert_answers(api.post(room, {}), path, "post")
        assert_answers(api.call("POST", messages_of(room), b"{}", "text/plain"), path, "post")
        assert_answers(api.call("POST", messages_of(room), b" " * 5000), path, "post")
        assert_answers(api.get(messages_of(room)), path, "get")
        assert_answers(api.get(messages_of(room) + "?limit=0"), path, "get")
        assert_answers(api.get(messages_of(room) + "x"), path, "get")

    def test_the_others(self, api: Api, keyed: Api, room: str) -> None:
        api.post(room, {"text": "x"})
        one = "/v1/rooms/{room}"
        for name in (room, room + "x", "a b"):
            assert_answers(api.get(f"/v1/rooms/{quoted(name)}"), one, "get")
        assert_answers(keyed.get(f"/v1/rooms/{quoted(room)}"), one, "get")
        for query in ("", "?top=1", "?top=0"):
            assert_answers(api.get("/v1/rooms" + query), "/v1/rooms", "get")
        assert_answers(api.get("/v1/rooms", Host="evil.example"), "/v1/rooms", "get")
        for asked in ({"all": True, "message": {"text": "x"}}, {"rooms": [room]}, {}):
            assert_answers(api.broadcast(asked), "/v1/broadcast", "post")


def assert_answers(answer: Any, path: str, method: str) -> None:
    documented = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status) in documented
    assert_fits(
        answer.json, documented[str(answer.status)]["content"]["application/json"]["schema"]
    )


def assert_fits(value: Any, schema: dict[str, Any]) -> None:
    """`value` has the schema's required fields and no others than its properties."""
    if "discriminator" in schema:
        told = schema["discriminator"]
        schema = {"$ref": told["mapping"][value[told["propertyName"]]]}
    for ref in [schema.get("$ref"), *(part.get("$ref") for part in schema.get("allOf", ()))]:
        if ref is not None:
            schema = SCHEMAS[ref.rpartition("/")[2]]
    if isinstance(value, list):
        for item in value:
            assert_fits(item, schema["items"])
    elif isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
        for name, inner in value.items():
            assert_fits(inner, schema["properties"][name])


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
class TestDocsPage:
    def test_it_draws_every_operation_and_asks_no_other_host(self, api: Api, tmp_path: Any) -> None:
        from playwright.sync_api import expect, sync_playwright

        base = f"http://127.0.0.1:{api.port}"
        said: list[str] = []
        asked: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            page = browser.new_page()
            page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: said.append(f"error: {error}"))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{base}/docs")
            expect(page.locator(".opblock")).to_have_count(len(OPERATIONS))
            page.locator(".opblock-post").first.click()
            expect(page.locator(".opblock-body").first).to_contain_text("accepted")
            page.screenshot(path=tmp_path / "docs.png", full_page=True)
            browser.close()
        assert [line for line in said if line.startswith(("error", "warning"))] == []
        assert {url for url in asked if not url.startswith((base, "data:"))} == set()
