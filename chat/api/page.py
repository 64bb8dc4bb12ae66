"""The page at `/`, the console, their files under `/web/`, the client, the Swagger UI of `/docs`.

Rules. Files are read once, at start: few, all small. What the page is told of the configuration is
put in as it is asked for, as that may change. Only what is listed here by its ending is served, so
neither tests nor hidden files can be. The client's modules have the paths they have in the
repository, so the page imports them by one relative path here and in its tests; pages elsewhere
import ENTRIES, all of the client and the stage under a name each; who may, `server.origins` says.

The page is told where the WebSocket is by how it was asked for: `server.public_url` where one is
set, else a path beside its own where a shard passed the request on, else a port of its own host.
"""

import html
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chat.api import contentpolicy
from chat.api.passed import PASSED
from chat.config.sections import Config, Server
from chat.policy.text import rules_for_page

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLACEHOLDER: Final = "{{ws}}"
VIDEO: Final = "{{video}}"
RULES: Final = "{{rules}}"
ENTRIES: Final = {"/client/danmaku.js": "index.js", "/client/stage.js": "stage/index.js"}
MODULES: Final = "/clients/js/src/"
CONSOLE: Final = "console"
"""Where the console is, and what the folder of its files is called."""

Headers = dict[str, str]


def web_folder() -> Path:
    """Where the page's files are: inside the package when installed, beside it in a checkout."""
    return _folder("web", "web")


def client_folder() -> Path:
    """Where the JavaScript client's modules are."""
    return _folder("clientjs", "clients/js/src")


def modules() -> list[str]:
    """Those modules, as paths below that folder."""
    found = client_folder().rglob("*.js")
    return sorted(path.relative_to(client_folder()).as_posix() for path in found)


def _folder(installed: str, checkout: str) -> Path:
    here = Path(__file__).parent.parent
    return here / installed if (here / installed).is_dir() else here.parent / checkout


def swagger_folder() -> Path:
    """Swagger UI's files, from the package that bundles them: no other host is asked."""
    vendor = Path(str(files("swagger_ui_bundle"))) / "vendor"
    return max(vendor.iterdir())


def routes(config: Config, ws_port: int) -> list[BaseRoute]:
    """The page, its files, the client."""
    folder = web_folder()
    index = (folder / "index.html").read_text("utf-8")
    found: list[BaseRoute] = [_page(index, config, ws_port)]
    for part, at in ((folder, "/web/"), (folder / CONSOLE, f"/web/{CONSOLE}/")):
        found += [
            _route(at + path.name, path.read_bytes(), path.suffix)
            for path in sorted(part.iterdir())
            if path.suffix in TYPES and path.suffix != ".html"
        ]
    found.append(_console((folder / CONSOLE / "index.html").read_bytes()))
    shared = _shared_with(config.server)
    found += [
        _route(MODULES + name, (client_folder() / name).read_bytes(), ".js", shared)
        for name in modules()
    ]
    for entry, module in ENTRIES.items():
        everything = f'export * from "..{MODULES}{module}";\n'
        found.append(_route(entry, everything.encode(), ".js", shared))
    swagger = swagger_folder()
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        path = swagger / name
        found.append(_route(f"/docs/{name}", path.read_bytes(), path.suffix))
    return found


def websocket(server: Server, ws_port: int, passed: bool) -> str:
    """Where the WebSocket is, as `web/address.js` reads it: a URL, a path beside the page's own, or
    port and path."""
    if server.public_url:
        return "ws" + server.public_url.removeprefix("http").rstrip("/") + server.path
    return server.path[1:] if passed else f":{ws_port}{server.path}"


def in_script(value: object) -> str:
    """JSON that stands in a <script>: entities mean nothing there, only `<` could end it."""
    return json.dumps(value).replace("<", "\\u003c")


def _page(index: str, config: Config, ws_port: int) -> Route:
    server = config.server

    async def serve(request: Request) -> Response:
        passed = PASSED in request.scope
        host = request.headers.get("host", "")
        there = websocket(server, ws_port, passed)
        public = urlsplit(server.public_url and there)
        elsewhere = (f"{public.scheme}://{public.netloc}",) if server.public_url else ()
        connect = elsewhere or contentpolicy.sockets(host, None if passed else ws_port)
        video = server.video
        media = "/".join(video.split("/", 3)[:3])
        policy = contentpolicy.of_page(connect, server.frame_ancestors, media)
        headers = {"Cache-Control": "no-cache", contentpolicy.HEADER: policy}
        page = index.replace(RULES, in_script(rules_for_page(config.limits)))
        page = page.replace(PLACEHOLDER, html.escape(there)).replace(VIDEO, html.escape(video))
        return Response(page, media_type=TYPES[".html"], headers=headers)

    return Route("/", serve, methods=["GET"])


def _console(content: bytes) -> Route:
    """Nobody may frame it, and it calls nobody but the server it came from."""
    headers = {"Cache-Control": "no-cache", contentpolicy.HEADER: contentpolicy.of_console()}

    async def serve(request: Request) -> Response:
        return Response(content, media_type=TYPES[".html"], headers=headers)

    return Route(f"/{CONSOLE}", serve, methods=["GET"])


def _shared_with(server: Server) -> Callable[[Request], Headers]:
    """With which pages a module is shared, which is asked for with CORS."""

    def headers(request: Request) -> Headers:
        origins = server.origins
        if "*" in origins:
            return {"Access-Control-Allow-Origin": "*"}
        origin = request.headers.get("origin")
        allowed = {"Access-Control-Allow-Origin": origin} if origin in origins and origin else {}
        return allowed | {"Vary": "Origin"}

    return headers


def _for_itself(_request: Request) -> Headers:
    return {}


def _route(
    path: str, content: bytes, suffix: str, more: Callable[[Request], Headers] = _for_itself
) -> Route:
    async def serve(request: Request) -> Response:
        headers = {"Cache-Control": "no-cache", **more(request)}
        return Response(content, media_type=TYPES[suffix], headers=headers)

    return Route(path, serve, methods=["GET"])
