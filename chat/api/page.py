"""The page at `/`, its files under `/web/`, the JavaScript client, and the Swagger UI of `/docs`.

Rules. Read once, at start, before the fork: few files, all small. Only what is listed here by its
ending is served, so neither tests nor hidden files can be. The client's modules have the paths they
have in the repository, so the page imports them by one relative path here and in its tests; pages
elsewhere import CLIENT, which is all of them under one name.
"""

import html
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLACEHOLDER: Final = "{{ws}}"
RULES: Final = "{{rules}}"
CLIENT: Final = "/client/danmaku.js"
MODULES: Final = "/clients/js/src/"
FOR_ALL: Final = {"Access-Control-Allow-Origin": "*"}
"""Pages of any origin may import the client: a module is asked for with CORS."""


def web_folder() -> Path:
    """Where the page's files are: inside the package when installed, beside it in a checkout."""
    return _folder("web", "web")


def client_folder() -> Path:
    """Where the JavaScript client's modules are."""
    return _folder("clientjs", "clients/js/src")


def _folder(installed: str, checkout: str) -> Path:
    here = Path(__file__).parent.parent
    return here / installed if (here / installed).is_dir() else here.parent / checkout


def swagger_folder() -> Path:
    """Swagger UI's files, from the package that bundles them: no other host is asked."""
    vendor = Path(str(files("swagger_ui_bundle"))) / "vendor"
    return max(vendor.iterdir())


def routes(ws_port: int, ws_path: str, rules: dict[str, Any]) -> list[BaseRoute]:
    """The page, its files, the client. The page finds the WebSocket at `ws_port` of its own host.

    rules  what a text and a room's name may be, as `web/rules.js` reads it
    """
    folder = web_folder()
    index = (folder / "index.html").read_text("utf-8")
    index = index.replace(RULES, in_script(rules))
    index = index.replace(PLACEHOLDER, html.escape(f":{ws_port}{ws_path}"))
    found: list[BaseRoute] = [_route("/", index.encode(), ".html")]
    found += [
        _route(f"/web/{path.name}", path.read_bytes(), path.suffix)
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES and path.suffix != ".html"
    ]
    found += [
        _route(MODULES + path.name, path.read_bytes(), path.suffix, FOR_ALL)
        for path in sorted(client_folder().glob("*.js"))
    ]
    everything = f'export * from "..{MODULES}index.js";\n'
    found.append(_route(CLIENT, everything.encode(), ".js", FOR_ALL))
    swagger = swagger_folder()
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        path = swagger / name
        found.append(_route(f"/docs/{name}", path.read_bytes(), path.suffix))
    return found


def in_script(value: object) -> str:
    """JSON that stands in a <script>: entities mean nothing there, only `<` could end it."""
    return json.dumps(value).replace("<", "\\u003c")


def _route(path: str, content: bytes, suffix: str, headers: Mapping[str, str] = {}) -> Route:
    sent = {"Cache-Control": "no-cache", **headers}

    async def serve(request: Request) -> Response:
        return Response(content, media_type=TYPES[suffix], headers=sent)

    return Route(path, serve, methods=["GET"])
