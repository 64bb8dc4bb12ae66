"""The OpenAPI document, and the page that shows it.

Rules. Bodies are described by the Structs that check them, and what a text may be by `formats`, so
the document cannot say something else than the code does; what is written here by hand are the
sentences and which body goes where. What a request needs is `keys`' to say. A node's document has
the node's own limits, and what it offers: Centrifugo's calls, keys.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from inspect import cleandoc
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chat import __version__
from chat.api import (
    centrifugal_paths,
    contentpolicy,
    formats,
    guide,
    live_paths,
    moderation_paths,
    node_paths,
    room_paths,
    word_paths,
)
from chat.api.drawn import drawn
from chat.api.examples import EXAMPLES, Example
from chat.api.keys import needed
from chat.api.models import FailureOut
from chat.api.operations import JSON, parameter, ref, refusals
from chat.config.sections import Config, Limits

STRUCTS: Final = (
    FailureOut,
    *room_paths.STRUCTS,
    *moderation_paths.STRUCTS,
    *word_paths.STRUCTS,
    *live_paths.STRUCTS,
)
METHODS: Final = ("get", "put", "post", "delete", "patch")
CENTRIFUGAL: Final = "/api/"
OPEN: Final = frozenset({"/healthz", "/readyz"})
"""What takes no key."""
BEARER: Final = "bearer"
HEADER: Final = "header"
SCHEMES: Final = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of the configuration's: `Authorization: Bearer <key>`.",
    },
    HEADER: {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, as Centrifugo's libraries give it to their calls.",
    },
}

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
START: Final = 'SwaggerUIBundle({url: "docs/openapi.json", dom_id: "#docs", deepLinking: true});\n'


def document(config: Config) -> dict[str, Any]:
    """The OpenAPI document of a node that is configured so."""
    name = parameter("room", "path", ref("Room"), "the room's name", "live:42")
    structs: list[type[msgspec.Struct]] = [*STRUCTS]
    narrowing = [room_paths.narrow, moderation_paths.narrow, word_paths.narrow]
    paths = {
        **room_paths.paths(name),
        **moderation_paths.paths(name),
        **word_paths.paths(name),
        **live_paths.paths(name),
        **node_paths.paths(),
    }
    tags = ["rooms", "moderation", "words", "live", "node"]
    if "centrifugal" in config.server.dialects:
        paths |= centrifugal_paths.paths()
        structs += centrifugal_paths.STRUCTS
        narrowing.append(centrifugal_paths.narrow)
        tags.append("centrifugo")
    for path, method, operation in operations(paths):
        _finish(operation, method.upper(), path, config.api.keyed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Danmaku",
            "version": __version__,
            "summary": "Publish to rooms, to everyone, to users; moderate; see what goes on.",
            "description": guide.INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "./"}],  # beside the document, wherever a proxy has put it
        "tags": [{"name": tag, "description": guide.OF_TAGS[tag]} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": _schemas(structs, narrowing, config.limits),
            "responses": refusals() | centrifugal_paths.refusals(),
            "securitySchemes": SCHEMES,
        },
    }


def operations(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of each."""
    for path, item in paths.items():
        for method in item:
            if method in METHODS:
                yield path, method, item[method]


def _schemas(
    structs: Sequence[type[msgspec.Struct]],
    narrowing: Sequence[Callable[[dict[str, Any]], None]],
    limits: Limits,
) -> dict[str, Any]:
    _, found = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    for schema in found.values():
        if "description" in schema:  # Markdown would take what is indented for a program
            schema["description"] = cleandoc(schema["description"])
    for narrow in narrowing:
        narrow(found)
    made: dict[str, Any] = formats.with_rules(found)
    return dict(sorted((made | formats.schemas(limits)).items()))


def _finish(operation: dict[str, Any], method: str, path: str, keyed: bool) -> None:
    """What is not said where an operation is described: who may call it, and an example."""
    if path in OPEN:
        operation["security"] = []
    else:
        scope = needed(method, path)
        schemes = (BEARER, HEADER) if path.startswith(CENTRIFUGAL) else (BEARER,)
        scopes = [] if scope is None else [str(scope)]
        ways: list[dict[str, list[str]]] = [{scheme: scopes} for scheme in schemes]
        operation["security"] = ways if keyed else [*ways, {}]  # or none, from this machine
    example = EXAMPLES[operation["operationId"]]
    if example.body is not None:
        content = operation["requestBody"]["content"][JSON]
        content["examples"] = {"example": {"value": example.body}}
    if example.answer is not None:
        [content] = operation["responses"]["200"]["content"].values()
        content["examples"] = {"example": {"value": _answer(example)}}


def _answer(example: Example) -> Any:
    if not example.stream:
        return example.answer
    return {"event": example.stream, "data": json.dumps(example.answer, ensure_ascii=False)}


def queries(document: dict[str, Any], path: str) -> dict[str, tuple[str, ...]]:
    """What queries of a path may have, by method."""
    return {
        method.upper(): tuple(
            one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"
        )
        for method, operation in document["paths"][path].items()
        if method in METHODS
    }


class Served:
    """A node's document, as its limits are now."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.apply()

    def apply(self) -> None:
        """The limits have changed."""
        self.document = guide.without_links(document(self._config))
        self.drawn = drawn(self.document)


def routes(served: Served) -> list[BaseRoute]:
    """The document and its page."""
    policy = {contentpolicy.HEADER: contentpolicy.of_docs()}

    async def spec(request: Request) -> Response:
        return JSONResponse(served.document)

    async def older(request: Request) -> Response:
        return JSONResponse(served.drawn)

    async def docs(request: Request) -> Response:
        return Response(PAGE, media_type="text/html; charset=utf-8", headers=policy)

    async def start(request: Request) -> Response:
        return Response(START, media_type="text/javascript; charset=utf-8")

    return [
        Route("/openapi.json", spec, methods=["GET"]),
        Route("/docs", docs, methods=["GET"]),
        Route("/docs/openapi.json", older, methods=["GET"]),
        Route("/docs/start.js", start, methods=["GET"]),
    ]
