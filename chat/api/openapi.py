"""The OpenAPI document, and the page that shows it.

Rules. Bodies are described by the Structs that check them, so the document cannot say something
else than the code does; what is written here by hand are the sentences and which body goes where.
"""

from importlib.metadata import version
from inspect import cleandoc
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chat.api.models import (
    MAX_TARGETS,
    BroadcastIn,
    BroadcastOut,
    FailureOut,
    HistoryOut,
    MessageIn,
    PublishedOut,
    RoomDetailOut,
    RoomsOut,
)

STRUCTS: Final = (
    BroadcastIn,
    BroadcastOut,
    FailureOut,
    HistoryOut,
    MessageIn,
    PublishedOut,
    RoomDetailOut,
    RoomsOut,
)
REFUSALS: Final = {
    400: "Something is wrong with the request; `problems` names each field.",
    401: "There are keys, and none of them was given.",
    403: "The key lacks the scope that is named, or there are no keys and the caller is not this "
    "machine.",
    404: "There is no such room.",
    408: "The body stopped coming; `accepted` messages of a stream were published before.",
    413: "The body is too large.",
    415: "The content type is not one of these, or the body has a content encoding.",
    429: "The key's rate is used up; `retry_after` says when to come again.",
    503: "The bus does not answer, or the server is about to end; `accepted` messages were "
    "published before, `lines` of a stream dealt with.",
}

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Danmaku API</title>
<link rel="icon" href="/web/icon.svg">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
START: Final = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true});\n'


def document() -> dict[str, Any]:
    """The OpenAPI document; 3.0, because that is what the bundled Swagger UI draws."""
    _, components = msgspec.json.schema_components(
        STRUCTS, ref_template="#/components/schemas/{name}"
    )
    room = _parameter("room", "path", {"type": "string", "minLength": 1}, "the room's name")
    message = _ref("MessageIn")
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Danmaku",
            "version": version("danmaku"),
            "description": "Publish to rooms, to everyone, to users; see what is going on.",
        },
        "components": {
            "schemas": _without_null(components),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
        "paths": {
            "/v1/rooms/{room}/messages": {
                "parameters": [room],
                "post": _operation(
                    "Publish to a room",
                    "One message, an array of them (all or none), or lines of any number. Lines "
                    "are published while they come: when there are 500, or when the first has "
                    "waited 30 ms. The good ones are published, the bad ones listed; when none "
                    "is good, or there is none, that is a 400.",
                    PublishedOut,
                    (400, 401, 403, 408, 413, 415, 429, 503),
                    body={
                        "application/json": {
                            "schema": {"oneOf": [message, {"type": "array", "items": message}]}
                        },
                        "application/x-ndjson": {"schema": message},
                        "application/jsonl": {"schema": message},
                    },
                ),
                "get": _operation(
                    "Read a room's history",
                    "Oldest first. Page on with `after` = `next`.",
                    HistoryOut,
                    (400, 401, 403, 404, 429, 503),
                    parameters=[
                        _parameter("after", "query", _integer(0, None), "messages after this seq"),
                        _parameter("limit", "query", _integer(1, 500), "at most so many"),
                    ],
                ),
            },
            "/v1/rooms/{room}": {
                "parameters": [room],
                "get": _operation(
                    "See a room",
                    "Its position and viewers.",
                    RoomDetailOut,
                    (400, 401, 403, 404, 429, 503),
                ),
            },
            "/v1/rooms": {
                "get": _operation(
                    "See the fullest rooms",
                    "By viewers on all nodes, as last reported.",
                    RoomsOut,
                    (400, 401, 403, 429, 503),
                    parameters=[_parameter("top", "query", _integer(1, 1000), "how many rooms")],
                )
            },
            "/v1/broadcast": {
                "post": _operation(
                    "Publish to many",
                    f"To at most {MAX_TARGETS} rooms as messages; to everyone or to at most "
                    f"{MAX_TARGETS} users as notices.",
                    BroadcastOut,
                    (400, 401, 403, 408, 413, 415, 429, 503),
                    body={"application/json": {"schema": _ref("BroadcastIn")}},
                )
            },
        },
    }


def routes() -> list[BaseRoute]:
    """The document and its page."""
    made = document()

    async def spec(request: Request) -> Response:
        return JSONResponse(made)

    async def docs(request: Request) -> Response:
        return Response(PAGE, media_type="text/html; charset=utf-8")

    async def start(request: Request) -> Response:
        return Response(START, media_type="text/javascript; charset=utf-8")

    return [
        Route("/openapi.json", spec, methods=["GET"]),
        Route("/docs", docs, methods=["GET"]),
        Route("/docs/start.js", start, methods=["GET"]),
    ]


def _operation(
    summary: str,
    description: str,
    answer: type[msgspec.Struct],
    refusals: tuple[int, ...],
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    refused = {"application/json": {"schema": _ref("FailureOut")}}
    operation: dict[str, Any] = {
        "tags": ["rooms"],
        "summary": summary,
        "description": description,
        "responses": {
            "200": {
                "description": cleandoc(answer.__doc__ or "Done."),
                "content": {"application/json": {"schema": _ref(answer.__name__)}},
            },
            **{
                str(status): {"description": REFUSALS[status], "content": refused}
                for status in refusals
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _parameter(name: str, where: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": text,
    }


def _integer(least: int, most: int | None) -> dict[str, Any]:
    return {"type": "integer", "minimum": least} | ({"maximum": most} if most else {})


def _without_null(schema: Any) -> Any:
    """`anyOf: [X, null]` as OpenAPI 3.0 says it: X, nullable."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _without_null(value) for key, value in schema.items()}
    kinds = [kind for kind in made.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) < len(made.get("anyOf", ())):
        del made["anyOf"]
        # Beside a $ref nothing else is read, so it is wrapped.
        made |= {"allOf": kinds} if "$ref" in kinds[0] else kinds[0]
        made["nullable"] = True
    if None in made.get("enum", ()):
        made["enum"] = [value for value in made["enum"] if value is not None]
        made["nullable"] = True
    return made


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
