"""The OpenAPI document, and the page that shows it.

Rules. Bodies are described by the Structs that check them, so the document cannot say something
else than the code does; what is written here by hand are the sentences and which body goes where.
"""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chat import __version__
from chat.api import contentpolicy, live_paths, moderation_paths, word_paths
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
from chat.api.operations import integer, operation, parameter, ref

STRUCTS: Final = (
    BroadcastIn,
    BroadcastOut,
    FailureOut,
    HistoryOut,
    MessageIn,
    PublishedOut,
    RoomDetailOut,
    RoomsOut,
    *live_paths.STRUCTS,
    *moderation_paths.STRUCTS,
    *word_paths.STRUCTS,
)

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Danmaku API</title>
<link rel="icon" href="web/icon.svg">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
START: Final = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true});\n'


def document() -> dict[str, Any]:
    """The OpenAPI document; 3.0, because that is what the bundled Swagger UI draws."""
    _, components = msgspec.json.schema_components(
        STRUCTS, ref_template="#/components/schemas/{name}"
    )
    room = parameter("room", "path", {"type": "string", "minLength": 1}, "the room's name")
    message = ref("MessageIn")
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Danmaku",
            "version": __version__,
            "description": "Publish to rooms, to everyone, to users; moderate; see what goes on.",
        },
        "components": {
            "schemas": _without_null(components),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "servers": [{"url": "./"}],  # beside the document, wherever a proxy has put it
        "security": [{"key": []}, {}],
        "paths": {
            "/v1/rooms/{room}/messages": {
                "parameters": [room],
                "post": operation(
                    "Publish to a room",
                    "One message, an array of them (all or none), or lines of any number. Lines "
                    "are published while they come: when there are 500, or when the first has "
                    "waited 30 ms. The good ones are published, the bad ones listed; when none "
                    "is good, or there is none, that is a 400.",
                    PublishedOut,
                    (400, 401, 403, 408, 409, 413, 415, 429, 503),
                    body={
                        "application/json": {
                            "schema": {"oneOf": [message, {"type": "array", "items": message}]}
                        },
                        "application/x-ndjson": {"schema": message},
                        "application/jsonl": {"schema": message},
                    },
                ),
                "get": operation(
                    "Read a room's history",
                    "Oldest first. Page on with `after` = `next`.",
                    HistoryOut,
                    (400, 401, 403, 404, 429, 503),
                    parameters=[
                        parameter("after", "query", integer(0, None), "messages after this seq"),
                        parameter("limit", "query", integer(1, 500), "at most so many"),
                    ],
                ),
                "delete": moderation_paths.clear(),
            },
            "/v1/rooms/{room}": {
                "parameters": [room],
                "get": operation(
                    "See a room",
                    "Its position, viewers and likes.",
                    RoomDetailOut,
                    (400, 401, 403, 404, 429, 503),
                ),
            },
            "/v1/rooms": {
                "get": operation(
                    "See the fullest rooms",
                    "By viewers on all nodes, as last reported.",
                    RoomsOut,
                    (400, 401, 403, 429, 503),
                    parameters=[parameter("top", "query", integer(1, 1000), "how many rooms")],
                )
            },
            "/v1/broadcast": {
                "post": operation(
                    "Publish to many",
                    f"To at most {MAX_TARGETS} rooms as messages; to everyone or to at most "
                    f"{MAX_TARGETS} users as notices.",
                    BroadcastOut,
                    (400, 401, 403, 408, 409, 413, 415, 429, 503),
                    body={"application/json": {"schema": ref("BroadcastIn")}},
                )
            },
            **live_paths.paths(room),
            **moderation_paths.paths(room),
            **word_paths.paths(room),
        },
    }


def routes() -> list[BaseRoute]:
    """The document and its page."""
    made, policy = document(), {contentpolicy.HEADER: contentpolicy.of_docs()}

    async def spec(request: Request) -> Response:
        return JSONResponse(made)

    async def docs(request: Request) -> Response:
        return Response(PAGE, media_type="text/html; charset=utf-8", headers=policy)

    async def start(request: Request) -> Response:
        return Response(START, media_type="text/javascript; charset=utf-8")

    return [
        Route("/openapi.json", spec, methods=["GET"]),
        Route("/docs", docs, methods=["GET"]),
        Route("/docs/start.js", start, methods=["GET"]),
    ]


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
