"""The page wherever it is opened: at the one port, on a phone, behind nginx with TLS and a path."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from bench.harness import Unavailable
from bench.local import Node, free_port
from bench.peers.program import find
from bench.site import File, site
from tests.e2e.browsers import IN_CHROMIUM, SKY, chromium, until_flown
from tests.e2e.console import open_console
from tests.patience import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
KEY = "a-key-of-the-tests"

pytestmark = IN_CHROMIUM

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {map}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    {location}
  }}
}}
"""

STAGED = """<!doctype html>
<meta charset="utf-8"><title>Elsewhere</title><link rel="icon" href="data:,">
<div id="box" style="height: 300px"></div>
<script type="module" src="/page.js"></script>
"""


def documented() -> list[str]:
    """What docs/running.md says nginx should be told: the location, the map."""
    text = (ROOT / "docs" / "running.md").read_text("utf-8")
    return re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def nginx(folder: Path, node_port: int, port: int) -> Iterator[str]:
    """nginx with TLS in front of a node, as documented; its URL."""
    try:
        program = find("nginx")
    except Unavailable as none:
        pytest.skip(str(none))
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    location, chosen = documented()
    assert "127.0.0.1:8000" in location
    location = location.replace("127.0.0.1:8000", f"127.0.0.1:{node_port}")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, location=location, map=chosen))
    command: list[str | Path] = [program, "-p", folder, "-c", config, "-e", "stderr"]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or answers(port), "nginx")
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield f"https://127.0.0.1:{port}/live/"
    finally:
        process.terminate()
        process.wait(30)


def complaints(page: Page) -> list[str]:
    """What a page will complain of, such as what its policy did not let it do."""
    found: list[str] = []

    def note(said: ConsoleMessage) -> None:
        if said.type == "error":
            found.append(said.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


class Visit:
    """A page, what it dialled, and what it complained of."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_context(ignore_https_errors=True).new_page()
        self.dialled: list[str] = []
        self.asked: list[str] = []
        self.complaints = complaints(self.page)
        self.page.add_init_script(SKY)
        self.page.on("websocket", lambda one: self.dialled.append(one.url))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def types(self, text: str) -> None:
        """Type, and see it come back."""
        expect(self.page.locator("#connection")).to_have_attribute("data-state", "open")
        self.page.fill("#input", text)
        self.page.click("#send")
        expect(self.page.locator("#chat .message", has_text=text)).to_have_count(1)
        until_flown(self.page, text)
        assert not self.complaints


class TestOnePort:
    def test_it_dials_where_it_came_from_whatever_the_link_says(self, node: Node) -> None:
        other = "ws://127.0.0.2:9/ws"
        link = f"{node.probes}/?room=one:port&ws={other}&url={other}&server={other}#ws={other}"
        with chromium() as browser:
            visit = Visit(browser, link)
            visit.types("by the one port")
            assert visit.dialled == [node.ws]

    def test_from_a_phone_in_the_same_network(self, tmp_path: Path) -> None:
        # A name that is not the machine's own: no secure context, as over plain HTTP.
        with (
            Node(tmp_path) as node,
            chromium("--host-resolver-rules=MAP phone.test 127.0.0.1") as browser,
        ):
            visit = Visit(browser, f"http://phone.test:{node.port}/?room=phone")
            assert not visit.page.evaluate("isSecureContext")
            visit.types("from the sofa")
            assert visit.dialled == [f"ws://phone.test:{node.port}/ws"]
            visit.page.reload()
            expect(visit.page.locator("#chat .message", has_text="sofa")).to_have_count(1)

    def test_its_policy_lets_it_dial_nothing_else(self, node: Node) -> None:
        with chromium() as browser:
            visit = Visit(browser, f"{node.probes}/?room=strict")
            visit.types("here")
            refused = visit.page.evaluate(
                """() => new Promise((done) => {
                  addEventListener("securitypolicyviolation", (e) => done(e.effectiveDirective));
                  new WebSocket("ws://127.0.0.2:9/ws");
                })"""
            )
            assert refused == "connect-src"


class TestBehindNginx:
    def test_with_tls_under_a_path(self, tmp_path: Path) -> None:
        settings = {
            "server_client_address": "x-forwarded-for",
            "server_trusted_proxies": '["127.0.0.1"]',
            "api_key": KEY,
        }
        port = free_port()
        with (
            Node(tmp_path, **settings) as node,
            nginx(tmp_path, node.port, port) as url,
            chromium() as browser,
        ):
            visit = Visit(browser, f"{url}?room=behind")
            visit.types("through nginx")
            assert visit.dialled == [f"wss://127.0.0.1:{port}/live/ws"]
            request = visit.page.request
            said = request.post(
                f"{url}v1/rooms/behind/messages",
                data={"text": "from a backend"},
                headers={"Authorization": f"Bearer {KEY}"},
            )
            assert said.status == 200
            until_flown(visit.page, "from a backend")
            visit.page.click(".brand")
            expect(visit.page.locator("#connection")).to_have_attribute("data-state", "open")
            assert visit.page.url == url
            assert visit.asked
            assert [one for one in visit.asked if not one.startswith(url)] == []
            assert not visit.complaints
            assert request.get(f"{url}v1/rooms").status == 401
            docs = Visit(browser, f"{url}docs")
            expect(docs.page.locator(".swagger-ui .info .title")).to_contain_text("Danmaku")
            expect(docs.page.locator(".swagger-ui .servers option")).to_have_text("./")
            assert not docs.complaints

    def test_the_console_and_a_stage_elsewhere_come_by_the_same_rule(self, tmp_path: Path) -> None:
        port = free_port()
        with (
            site() as host,
            Node(tmp_path, api_key=KEY, server_origins=json.dumps([host.origin])) as node,
            nginx(tmp_path, node.port, port) as url,
            chromium("--ignore-certificate-errors") as browser,
        ):
            context = browser.new_context(locale="en")
            asked: list[str] = []
            context.on("request", lambda request: asked.append(request.url))
            console = open_console(context, node, KEY, f"{url}console")
            console.go("rooms/staged")
            assert [one for one in asked if not one.startswith(url)] == []

            host.files["/page.js"] = File(
                f"""import {{ mount }} from "{url}client/stage.js";
                const there = {{ url: "{url.replace("https", "wss")}ws", room: "staged" }};
                mount(document.querySelector("#box"), there).client
                  .on("joined", () => (document.title = "joined"));
                """.encode(),
                "text/javascript",
            )
            page = browser.new_context().new_page()
            troubles = complaints(page)
            beside: list[str] = []
            page.on("request", lambda request: beside.append(request.url))
            page.goto(host.page("/", STAGED))
            expect(page).to_have_title("joined")
            console.page.get_by_label("Text").fill("from the console")
            console.page.get_by_role("button", name="Send").click()
            expect(page.locator(".danmaku", has_text="from the console")).to_have_count(1)
            expect(console.line("from the console")).to_have_count(1)
            assert f"{url}client/stage.js" in beside
            assert [
                one for one in beside if not one.startswith((url, f"{host.origin}/", "data:"))
            ] == []
            assert not troubles

    def test_a_public_url_is_dialled_from_anywhere(self, tmp_path: Path) -> None:
        port = free_port()
        public = f"https://127.0.0.1:{port}/live"
        with (
            Node(tmp_path, server_public_url=public) as node,
            nginx(tmp_path, node.port, port),
            chromium("--ignore-certificate-errors") as browser,
        ):
            assert f"from elsewhere   {public}/\n" in node.said()
            for opened in (node.probes, node.page):
                visit = Visit(browser, f"{opened}/?room=public")
                visit.types(f"opened at {opened}")
                assert visit.dialled == [f"wss://127.0.0.1:{port}/live/ws"]
