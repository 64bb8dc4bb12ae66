"""The page at `/`, its files under `/web/`, and the Swagger UI that `/docs` shows.

Rules. Read once, at start, before the fork: few files, all small. Only what is listed here by its
ending is served, so neither tests nor hidden files can be.
"""

import html
import json
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


def web_folder() -> Path:
    """Where the page's files are: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).parent.parent
    installed = here / "web"
    return installed if installed.is_dir() else here.parent / "web"


def swagger_folder() -> Path:
    """Swagger UI's files, from the package that bundles them: no other host is asked."""
    vendor = Path(str(files("swagger_ui_bundle"))) / "vendor"
    return max(vendor.iterdir())


def routes(ws_port: int, ws_path: str, rules: dict[str, Any]) -> list[BaseRoute]:
    """The page and its files. The page finds the WebSocket at `ws_port` of its own host.

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
    swagger = swagger_folder()
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        path = swagger / name
        found.append(_route(f"/docs/{name}", path.read_bytes(), path.suffix))
    return found


def in_script(value: object) -> str:
    """JSON that stands in a <script>: entities mean nothing there, only `<` could end it."""
    return json.dumps(value).replace("<", "\\u003c")


def _route(path: str, content: bytes, suffix: str) -> Route:
    async def serve(request: Request) -> Response:
        return Response(content, media_type=TYPES[suffix], headers={"Cache-Control": "no-cache"})

    return Route(path, serve, methods=["GET"])
