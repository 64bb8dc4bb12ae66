"""The console in trouble, from which it comes back by itself; and axe finds nothing in it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bench.axe import AXE, broken
from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.browsers import IN_CHROMIUM, enter, said, say
from tests.e2e.console import KEY, open_console

pytestmark = IN_CHROMIUM


@pytest.fixture
def node(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Node]:
    """A node of two shards that may be broken."""
    with Node(tmp_path, bus_url=engine.url, api_key=KEY) as node:
        yield node


class TestTrouble:
    def test_a_killed_shard_is_seen_and_seen_to_be_back(self, browser: Browser, node: Node) -> None:
        console = open_console(browser, node, KEY)
        good = console.page.locator("td.good")
        expect(good).to_have_count(2)
        os.kill(node.pids("shard 1")[0], signal.SIGSTOP)
        expect(console.page.locator("td.bad")).to_have_text("not serving")
        os.kill(node.pids("shard 1")[0], signal.SIGKILL)
        expect(good).to_have_count(2)
        lives = console.page.locator("tbody tr td:last-child")
        expect(lives).to_have_text(["1", "2"])

    def test_a_server_restarted_beneath_is_found_again_with_what_was_said_meanwhile(
        self, browser: Browser, node: Node
    ) -> None:
        console = open_console(browser, node, KEY)
        console.go("rooms/con:restart")
        path, headers = "/v1/rooms/con:restart/messages", console.headers
        assert node.request("POST", path, {"text": "before"}, headers)[0] == 200
        expect(console.line("before")).to_have_count(1)
        pill = console.page.locator(".connection")
        node.stop()
        expect(pill).to_have_text("The server went down: reconnecting")
        node.start()
        assert node.request("POST", path, {"text": "after"}, headers)[0] == 200
        expect(pill).to_have_text("Live")
        expect(console.line("before")).to_have_count(1)
        expect(console.line("after")).to_have_count(1)
        viewer = enter(browser, node, "con:restart")
        say(viewer, "and on it goes")
        expect(console.line("and on it goes")).to_have_count(1)
        console.line("and on it goes").get_by_role("button", name="Delete").click()
        expect(said(viewer, "and on it goes")).to_have_count(0)

    def test_with_redis_away_it_says_so_and_what_it_cannot_do(
        self, browser: Browser, node: Node, engine: EmbeddedEngine
    ) -> None:
        console = open_console(browser, node, KEY)
        expect(console.page.locator("td.good")).to_have_count(2)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            expect(console.page.locator(".bus-away")).to_be_visible()
            console.go("broadcast")
            console.page.get_by_label("Names, one a line").fill("r")
            console.page.get_by_label("Text").fill("hi")
            console.page.get_by_role("form").get_by_role("button").click()
            expect(console.page.locator("form .refusal")).to_be_visible()
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        expect(console.page.locator(".bus-away")).to_be_hidden()

    def test_one_too_many_is_told_why_and_comes_in_when_there_is_room(
        self, browser: Browser, engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        with Node(tmp_path, bus_url=engine.url, api_key=KEY, api_live_streams=1) as node:
            first = open_console(browser, node, KEY)
            page = browser.new_context(locale="en").new_page()
            page.goto(f"{node.probes}/console")
            page.locator("input[name=key]").fill(KEY)
            page.keyboard.press("Enter")
            expect(page.locator(".connection")).to_contain_text("1 live streams are open here")
            first.page.close()
            expect(page.locator(".connection")).to_have_text("Live")


UGLY = """() => [
  ...[...document.querySelectorAll(".button")].filter((one) => one.offsetHeight > 60)
    .map((one) => `squeezed: ${one.textContent}`),
  ...document.body.textContent.match(/\\{\\w+\\}/gu) ?? [],
]"""
"""What nobody should see: a button of one letter a line, a text that was not filled in."""


@pytest.mark.skipif(not AXE.exists(), reason="npm has not installed axe-core: `make test`")
class TestAccessibility:
    def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
        self, browser: Browser, node: Node
    ) -> None:
        viewer = enter(browser, node, "con:axe")
        say(viewer, "hello")
        expect(said(viewer, "hello")).to_have_count(1)
        sections = (
            *("overview", "rooms", "rooms/con:axe", "watch/con:axe,con:other"),
            *("users", "users/u1", "broadcast"),
        )
        parts = tuple(f"moderation/{one}" for one in ("reports", "mutes", "bans", "words", "audit"))
        for path in ("/v1/mutes/u1", "/v1/rooms/con:axe/bans/u2", "/v1/bans/addresses/192.0.2.1"):
            body = {"seconds": 600, "reason": "to be seen"}
            assert node.request("PUT", path, body, {"Authorization": f"Bearer {KEY}"})[0] == 200
        found: list[str] = []
        looks: tuple[tuple[str, Any, int], ...] = (
            *(("en", "light", 1280), ("zh-CN", "dark", 390), ("en", "light", 390)),
            *(("zh-CN", "dark", 1280), ("en", "dark", 360)),
        )
        for locale, theme, width in looks:
            screen: Any = {"width": width, "height": 844}
            context = browser.new_context(
                locale=locale, viewport=screen, color_scheme=theme, reduced_motion="reduce"
            )
            console = open_console(context, node, KEY)
            page = console.page
            expect(page.locator("html")).to_have_attribute("lang", locale)
            for section in (*sections, *parts):
                console.go(section)
                expect(page.locator("h1")).to_be_visible()
                if section in ("moderation/mutes", "moderation/bans"):
                    expect(page.locator("tbody tr")).to_have_count(1)
                found += broken(page)
                wide = page.evaluate("document.documentElement.scrollWidth")
                found += [f"{section} is {wide} wide"] if wide > width else []
                found += [f"{section}: {text}" for text in page.evaluate(UGLY)]
            console.go("rooms/con:axe")
            page.locator("button.line-who").first.click()
            expect(page.get_by_role("dialog")).to_be_visible()
            found += broken(page)
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
            context.close()
        assert found == []
