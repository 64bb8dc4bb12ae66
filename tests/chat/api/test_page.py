"""The page and its files: what is served, and what is not."""

import json
import re
from typing import get_args
from urllib.parse import urljoin

import pytest

from chat.api import page
from chat.api.figures import CLOSED, DROPPED, REFUSED_BY, TURNED_AWAY
from chat.ops.engine import EmbeddedEngine
from chat.policy.roles import RANKS
from chat.policy.text import rules_for_page
from chat.wire.commands import Action
from tests.chat.api.rig import WS_PORT, Api
from tests.chat.api.wire import LAST, heard

PAGE = b"GET / HTTP/1.1\r\nHost: chat.example:81\r\n\r\n"
IMPORTED = re.compile(r'^(?:import|export|}).* from "(\.[^"]+)"', re.MULTILINE)
"""What a module imports; comments name types."""
MODULES = page.modules()
SERVED = sorted(path.name for path in page.web_folder().iterdir() if path.suffix in page.TYPES)


class TestPage:
    def test_it_is_told_where_the_websocket_is(self, api: Api) -> None:
        answer = api.get("/")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        text = answer.body.decode()
        assert f":{WS_PORT}/ws" in text
        assert page.PLACEHOLDER not in text

    def test_it_has_the_rules_for_rooms_and_texts(self, valkey: EmbeddedEngine) -> None:
        api = Api(valkey.url, limits={"room_chars": 7, "text_chars": 9})
        try:
            text = api.get("/").body.decode()
        finally:
            api.close()
        [block] = re.findall(r'<script id="rules" type="application/json">(.*?)</script>', text)
        assert json.loads(block) == rules_for_page(api.config.limits)
        assert (json.loads(block)["room_chars"], json.loads(block)["text_chars"]) == (7, 9)
        assert page.RULES not in text

    def test_no_rule_can_end_its_block(self) -> None:
        block = page.in_script({"a": "</script><!--"})
        assert "<" not in block
        assert json.loads(block) == {"a": "</script><!--"}

    def test_a_path_cannot_break_out_of_its_attribute(self, valkey: EmbeddedEngine) -> None:
        api = Api(valkey.url, server={"path": '/"><script>'})
        try:
            text = api.get("/").body.decode()
        finally:
            api.close()
        assert f":{WS_PORT}/&quot;&gt;&lt;script&gt;" in text

    def test_all_it_asks_for_is_there(self, api: Api) -> None:
        text = api.get("/").body.decode()
        wanted = re.findall(r'(?:src|href)="([^"#]+)"', text)
        assert wanted
        for path in wanted:
            assert not path.startswith(("/", "http")), "it may be under another path"
            assert api.get(urljoin("/", path)).status == 200, path

    def test_by_a_shard_the_websocket_is_beside_it(self, api: Api) -> None:
        text = heard(api.pass_on(PAGE)).decode()
        assert 'name="danmaku-ws" content="ws"' in text
        assert "connect-src 'self' ws://chat.example:81 wss://chat.example:81;" in text
        assert str(WS_PORT) not in text

    def test_at_its_own_port_it_may_dial_the_websockets_and_no_other(self, api: Api) -> None:
        policy = api.get("/", Host="chat.lan:8001").headers["content-security-policy"]
        assert f"connect-src 'self' ws://chat.lan:{WS_PORT} wss://chat.lan:{WS_PORT};" in policy

    @pytest.mark.parametrize("host", ["a b", "a;script-src *", "", "[::1]:8000", "a/b", "a:b"])
    def test_a_host_that_is_no_name_gets_into_no_policy(self, api: Api, host: str) -> None:
        policy = api.get("/", Host=host).headers["content-security-policy"]
        assert "connect-src 'self' ws: wss:;" in policy
        assert "script-src 'self';" in policy
        assert "*" not in policy

    def test_a_public_url_wins_wherever_it_was_opened(self, valkey: EmbeddedEngine) -> None:
        server = {"public_url": "https://site.example:8443/chat/", "path": "/live/ws"}
        api = Api(valkey.url, server=server)
        try:
            texts = [
                heard(api.pass_on(PAGE)).decode(),
                api.raw(PAGE[:-2] + LAST + b"\r\n\r\n").decode(),
            ]
        finally:
            api.close()
        for text in texts:
            assert 'content="wss://site.example:8443/chat/live/ws"' in text
            assert "connect-src 'self' wss://site.example:8443;" in text

    def test_its_video_is_the_configured_one_and_its_origin_alone(
        self, valkey: EmbeddedEngine, api: Api
    ) -> None:
        url = "https://media.example:8443/live.webm?a=1&b=2"
        shown = Api(valkey.url, server={"video": url})
        try:
            answer = shown.get("/")
        finally:
            shown.close()
        escaped = url.replace("&", "&amp;")
        assert f'name="danmaku-video" content="{escaped}"' in answer.body.decode()
        policy = answer.headers["content-security-policy"]
        assert "media-src https://media.example:8443;" in policy
        without = api.get("/")
        assert 'name="danmaku-video" content=""' in without.body.decode()
        assert "media-src" not in without.headers["content-security-policy"]

    def test_who_may_frame_it_is_configured(self, valkey: EmbeddedEngine) -> None:
        server = {"frame_ancestors": ("self", "https://site.example")}
        api = Api(valkey.url, server=server)
        try:
            policy = api.get("/").headers["content-security-policy"]
        finally:
            api.close()
        assert policy.endswith("frame-ancestors 'self' https://site.example")

    def test_modules_import_only_what_is_served(self, api: Api) -> None:
        for name in SERVED:
            if name.endswith(".js"):
                text = api.get(f"/web/{name}").body.decode()
                for wanted in IMPORTED.findall(text):
                    path = urljoin(f"/web/{name}", wanted)
                    assert api.get(path).status == 200, f"{name} imports {wanted}"


class TestConsole:
    def test_it_has_words_for_all_that_figures_and_the_audit_call_by_name(self) -> None:
        texts = (page.web_folder() / "console" / "texts.js").read_text("utf-8")
        reasons = {*DROPPED, *REFUSED_BY, *TURNED_AWAY, *CLOSED}
        actions = {*get_args(Action), "owners", "words", "addresses", "dealt"}
        named = {"cause": reasons, "did": actions, "role": RANKS}
        missing = [
            f"{kind}.{name}"
            for kind, names in named.items()
            for name in names
            if f'"{kind}.{name}": [' not in texts
        ]
        assert missing == []

    FILES = sorted(path.name for path in (page.web_folder() / "console").iterdir())

    def test_it_may_call_its_own_origin_only_and_be_framed_by_nobody(
        self, valkey: EmbeddedEngine
    ) -> None:
        api = Api(valkey.url, server={"frame_ancestors": ("self", "https://site.example")})
        try:
            policy = api.get("/console").headers["content-security-policy"].split("; ")
        finally:
            api.close()
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
        assert {"connect-src 'self'", "img-src 'self'", "frame-ancestors 'none'"} <= set(policy)

    def test_all_it_asks_for_is_there_wherever_it_is(self, api: Api) -> None:
        text = api.get("/console").body.decode()
        for path in re.findall(r'(?:src|href)="([^"#]+)"', text):
            assert not path.startswith(("/", "http")), "it may be under another path"
            assert api.get(urljoin("/console", path)).status == 200, path

    @pytest.mark.parametrize("name", FILES)
    def test_its_files_are_served_and_import_only_what_is(self, api: Api, name: str) -> None:
        answer = api.get(f"/web/console/{name}")
        if name.endswith(".html"):
            assert answer.status == 404
            return
        assert answer.body == (page.web_folder() / "console" / name).read_bytes()
        assert answer.headers["content-type"] == page.TYPES[name[name.rindex(".") :]]
        for wanted in IMPORTED.findall(answer.body.decode()):
            assert api.get(urljoin(f"/web/console/{name}", wanted)).status == 200, wanted

    def test_at_the_websockets_port_it_is_there_with_keys_only(self, api: Api, keyed: Api) -> None:
        asked = b"GET /console HTTP/1.1\r\nHost: chat.example\r\n\r\n"
        assert heard(api.pass_on(asked)).startswith(b"HTTP/1.1 404")
        assert heard(keyed.pass_on(asked)).startswith(b"HTTP/1.1 200")


class TestFiles:
    @pytest.mark.parametrize("name", [name for name in SERVED if name != "index.html"])
    def test_each_is_served_as_what_it_is(self, api: Api, name: str) -> None:
        answer = api.get(f"/web/{name}")
        assert answer.status == 200
        assert answer.body == (page.web_folder() / name).read_bytes()
        assert answer.headers["content-type"] == page.TYPES[name[name.rindex(".") :]]
        assert answer.headers["cache-control"] == "no-cache"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "index.html",
            "package.json",
            "tests",
            "tests/",
            ".",
            "..",
            "../pyproject.toml",
            "%2e%2e/pyproject.toml",
            "..%2fpyproject.toml",
            "%00",
        ],
    )
    def test_nothing_else_is(self, api: Api, name: str) -> None:
        assert api.get(f"/web/{name}").status == 404

    @pytest.mark.parametrize("name", MODULES)
    def test_the_client_is_for_pages_of_any_origin(self, api: Api, name: str) -> None:
        answer = api.get(page.MODULES + name)
        assert answer.status == 200
        assert answer.body == (page.client_folder() / name).read_bytes()
        assert answer.headers["content-type"] == page.TYPES[".js"]
        assert answer.headers["access-control-allow-origin"] == "*"
        for wanted in IMPORTED.findall(answer.body.decode()):
            path = urljoin(page.MODULES + name, wanted).removeprefix(page.MODULES)
            assert path in MODULES, f"{name} imports {wanted}"

    def test_the_client_is_for_those_pages_that_may_connect(self, valkey: EmbeddedEngine) -> None:
        api = Api(valkey.url, server={"origins": ("https://a.example",)})
        try:
            for path in (*page.ENTRIES, page.MODULES + "index.js"):
                own = api.get(path, Origin="https://a.example").headers
                assert own["access-control-allow-origin"] == "https://a.example"
                other = api.get(path, Origin="https://b.example").headers
                assert "access-control-allow-origin" not in other
                assert own["vary"] == other["vary"] == "Origin"
        finally:
            api.close()

    @pytest.mark.parametrize("path", page.ENTRIES)
    def test_one_name_stands_for_the_whole_client(self, api: Api, path: str) -> None:
        answer = api.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        [wanted] = re.findall(r'export \* from "([^"]+)"', answer.body.decode())
        assert api.get(urljoin(path, wanted)).status == 200

    @pytest.mark.parametrize("path", ["/client/", "/clients/js/package.json", "/clients/js/src/"])
    def test_of_the_package_nothing_else_is(self, api: Api, path: str) -> None:
        assert api.get(path).status == 404

    def test_swagger_uis_files_come_from_here_too(self, api: Api) -> None:
        for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
            assert api.get(f"/docs/{name}").body == (page.swagger_folder() / name).read_bytes()
