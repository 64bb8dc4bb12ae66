"""The OpenAPI document says what the code does, and the page draws it."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from chat.api.app import create_app
from chat.api.bodies import BadBody
from chat.api.incoming import Drain
from chat.api.metrics import API_FIELDS, Metrics
from chat.api.openapi import document, operations, queries
from chat.config.sections import Config, Limits
from chat.counters import FIELDS
from chat.ops.engine import EmbeddedEngine
from pool.scoreboard import Scoreboard
from tests.chat.api.reading import read_broadcast, read_messages
from tests.chat.api.rig import NDJSON, Api, messages_of, quoted
from tests.chat.rig import configured

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DOCUMENT = document(Config())
WHOLE = document(configured(server={"dialects": ("danmaku", "centrifugal")}, api={"key": "k"}))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [(path, method) for path, method, _ in operations(DOCUMENT["paths"])]


def resolved(schema: dict[str, Any], within: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    """What a reference leads to, beside what stands beside it."""
    if "$ref" not in schema:
        return schema
    _, _, kind, name = schema["$ref"].split("/")
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    found: dict[str, Any] = within["components"][kind][name] | rest
    return found


def validator(name: str, within: dict[str, Any] = DOCUMENT) -> jsonschema_rs.Validator:
    """Says what fits one of the document's schemas."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": within["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


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


def kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a property may be, one by one."""
    return [resolved(kind) for kind in schema.get("anyOf", [schema])]


def good_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values at the edges of what a property's schema allows."""
    if "default" in schema:
        yield schema["default"]
    for kind in kinds(schema):
        yield from good_values_of(kind)


def good_values_of(schema: dict[str, Any]) -> Iterator[Any]:
    if "enum" in schema:
        yield from schema["enum"]
    elif schema["type"] == "null":
        yield None
    elif schema["type"] == "integer":
        yield from (schema["minimum"], schema["maximum"])
    elif "http" in schema.get("pattern", ""):
        yield from ("http://a", "https://a.example/".ljust(schema["maxLength"], "x"))
    elif schema["type"] == "array":
        yield ["x"] * schema["maxItems"]
    elif schema["type"] == "string":
        yield "x" * schema.get("minLength", 1)
        yield "x" * schema.get("maxLength", 1)


def bad_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values just beyond them."""
    found = kinds(schema)
    if any(isinstance(kind.get("type"), list) for kind in found):
        return  # anything goes
    yield {}
    if {"type": "null"} not in found:
        yield None
    for kind in found:
        yield from bad_values_of(kind)


def bad_values_of(schema: dict[str, Any]) -> Iterator[Any]:
    if "enum" in schema:
        yield "neither"
    elif schema["type"] == "integer":
        yield from (schema["minimum"] - 1, schema["maximum"] + 1)
    elif "http" in schema.get("pattern", ""):
        yield "https://a.example/".ljust(schema["maxLength"] + 1, "x")
        yield "javascript:x"
    elif schema["type"] == "array":
        yield ["x"] * (schema["maxItems"] + 1)
        yield [""]
    elif "minLength" in schema:
        yield "x" * (schema["minLength"] - 1)
        yield "x" * (schema["maxLength"] + 1)


MESSAGE: dict[str, Any] = SCHEMAS["MessageIn"]["properties"]
GOOD = [(name, value) for name, schema in MESSAGE.items() for value in good_values(schema)]
BAD = [(name, value) for name, schema in MESSAGE.items() for value in bad_values(schema)]


@pytest.fixture
def small(valkey: EmbeddedEngine) -> Iterator[Api]:
    """With limits of its own."""
    api = Api(valkey.url, limits={"text_chars": 7, "room_chars": 9})
    yield api
    api.close()


class TestDocument:
    @pytest.mark.parametrize("made", [DOCUMENT, WHOLE])
    def test_it_is_valid_openapi_3_1(self, made: dict[str, Any]) -> None:
        assert made["openapi"] == "3.1.0"
        OpenAPIV31SpecValidator(made).validate()

    @pytest.mark.parametrize("made", [DOCUMENT, WHOLE])
    def test_every_reference_leads_somewhere(self, made: dict[str, Any]) -> None:
        found = set(refs(made))
        assert found
        for ref in found:
            assert resolved({"$ref": ref}, made), ref

    @pytest.mark.parametrize("made", [DOCUMENT, WHOLE])
    def test_every_operation_has_a_name_of_its_own_words_and_a_tag(
        self, made: dict[str, Any]
    ) -> None:
        found = [operation for *_, operation in operations(made["paths"])]
        for key in ("operationId", "summary"):
            assert len({operation[key] for operation in found}) == len(found)
        tags = [tag["name"] for tag in made["tags"]]
        assert {tag for operation in found for tag in operation["tags"]} == set(tags)
        assert all(operation["description"] for operation in found)

    def test_every_operation_can_be_refused_and_says_how(self) -> None:
        for path, _, operation in operations(WHOLE["paths"]):
            if path.startswith("/v1"):
                told = {400, 401, 403, 404, 429, 503}
                told |= {408, 413, 415} if "requestBody" in operation else set()
                assert {str(status) for status in told} <= set(operation["responses"])

    def test_parameters_have_bounds_and_examples(self) -> None:
        for path, _, operation in operations(WHOLE["paths"]):
            for one in (
                *operation.get("parameters", ()),
                *WHOLE["paths"][path].get("parameters", ()),
            ):
                schema = resolved(one["schema"], WHOLE)
                bounded = {"maxLength", "maximum", "maxItems", "pattern", "anyOf"} & schema.keys()
                assert bounded or schema["type"] == "boolean" or one["name"] == "after", one
                assert one["description"]
                assert "example" in one or one["name"] == "after"

    def test_every_route_is_in_it_and_everything_in_it_is_a_route(self) -> None:
        for made, dialects in ((DOCUMENT, ("danmaku",)), (WHOLE, ("danmaku", "centrifugal"))):
            metrics = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1))
            config = configured(server={"dialects": dialects})
            app = create_app(config, "unix:///nowhere", metrics, Drain(), 8000)
            served = {
                (route.path, method.lower())
                for route in app.routes
                if isinstance(route, Route) and route.path.startswith(("/v1/", "/api/"))
                for method in (route.methods or set()) - {"HEAD"}
                if "{call:path}" not in route.path
            }
            told = {(path, method) for path, method, _ in operations(made["paths"])}
            node = {("/healthz", "get"), ("/readyz", "get"), ("/metrics", "get")}
            assert served | node == told

    def test_it_has_the_limits_of_the_node(self, small: Api) -> None:
        told = small.get("/openapi.json").json["components"]["schemas"]
        assert (told["Text"]["maxLength"], told["Room"]["maxLength"]) == (7, 9)
        assert (SCHEMAS["Text"]["maxLength"], SCHEMAS["Room"]["maxLength"]) == (300, 64)
        for text, status in (("x" * 7, 200), ("x" * 8, 400)):
            assert small.post("r" * 9, {"text": text}).status == status
        assert small.post("r" * 10, {"text": "x"}).status == 400

    def test_it_says_which_scope_of_a_key_each_takes(self) -> None:
        schemes = WHOLE["components"]["securitySchemes"]
        assert (schemes["bearer"]["scheme"], schemes["header"]["name"]) == ("bearer", "X-API-Key")
        said = {
            path: item["get"]["security"] for path, item in WHOLE["paths"].items() if "get" in item
        }
        assert said["/v1/rooms"] == [{"bearer": ["read"]}]
        assert said["/v1/audit"] == [{"bearer": ["moderate"]}]
        assert said["/metrics"] == [{"bearer": ["metrics"]}]
        assert said["/healthz"] == []
        call = WHOLE["paths"]["/api/publish"]["post"]["security"]
        assert call == [{"bearer": ["publish"]}, {"header": ["publish"]}]

    def test_without_keys_none_is_needed(self) -> None:
        assert DOCUMENT["paths"]["/v1/rooms"]["get"]["security"] == [{"bearer": ["read"]}, {}]

    def test_examples_fit_their_schemas(self) -> None:
        checked = 0
        for _, _, operation in operations(WHOLE["paths"]):
            bodies = [operation.get("requestBody", {}), operation["responses"]["200"]]
            for content in (one for body in bodies for one in body.get("content", {}).values()):
                whole = {**content["schema"], "components": WHOLE["components"]}
                for example in content.get("examples", {}).values():
                    jsonschema_rs.Draft202012Validator(whole).validate(example["value"])
                    checked += 1
        assert checked > len(OPERATIONS)

    def test_what_a_query_may_have_is_what_it_says(self) -> None:
        path = "/v1/rooms/{room}/messages"
        found = queries(DOCUMENT, path)
        assert found == {"GET": ("after", "limit"), "DELETE": ("uid", "reason"), "POST": ()}

    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_no_line_of_a_description_is_indented(self, path: str, method: str) -> None:
        # Markdown would take it for a program.
        for answer in DOCUMENT["paths"][path][method]["responses"].values():
            assert "\n " not in resolved(answer)["description"]

    def test_it_is_served_as_it_is(self, api: Api) -> None:
        told = api.get("/openapi.json").json
        assert told["paths"].keys() == DOCUMENT["paths"].keys()
        assert not re.search(r"\]\((#|[\w.]+\.md)", json.dumps(told))  # pages that are not here

    def test_every_parameter_in_a_path_is_described(self) -> None:
        for path, item in DOCUMENT["paths"].items():
            named = {p["name"] for p in item.get("parameters", ())}
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
        nulls = {name: None for name, one in properties.items() if {"type": "null"} in kinds(one)}
        assert set(nulls) == {"rooms", "users", "message", "messages"}
        _, messages = read_broadcast(json.dumps(nulls | target | what).encode(), Limits())
        assert [message.text for message in messages] == ["x"]


def content_types(path: str, method: str) -> set[str]:
    return set(DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", ()))


class TestAnswers:
    """What the real API answers has the fields that are documented, and the status too."""

    def test_publishing(self, api: Api, room: str) -> None:
        path = "/v1/rooms/{room}/messages"
        assert content_types(path, "post") == {"application/json", NDJSON}
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
    """The status is documented, and the body fits its schema and has no other fields."""
    documented = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status) in documented
    [content] = resolved(documented[str(answer.status)])["content"].values()
    whole = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole).validate(answer.json)
    assert_fits(answer.json, content["schema"])


def assert_fits(value: Any, schema: dict[str, Any]) -> None:
    """`value` has no other fields than the schema's properties."""
    if "discriminator" in schema:
        told = schema["discriminator"]
        schema = {"$ref": told["mapping"][value[told["propertyName"]]]}
    [schema, *more] = [kind for kind in kinds(resolved(schema)) if kind != {"type": "null"}] or [{}]
    if isinstance(value, list):
        for item in value:
            assert_fits(item, schema["items"])
    elif isinstance(value, dict) and "properties" in schema and not more:
        assert set(value) <= set(schema["properties"])
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
