"""The console over two nodes of one Redis, over restarts beneath it, and in several tabs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.browsers import IN_CHROMIUM, enter, say
from tests.e2e.console import KEY, open_console

OTHER = "other-0123456789abcdef"
NUMBER = re.compile(r"-\s?\d")
"""What a figure never is: less than nothing."""
NOTHING = re.compile("^(0|–)$")
"""What a figure is before anything happened, and before anything was told."""

pytestmark = IN_CHROMIUM


@pytest.fixture
def node(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path, bus_url=engine.url, api_key=KEY) as node:
        yield node


def name_of(node: Node) -> str:
    """The end of what a node is called."""
    return f":{node.port}"


def shards_of(box: Locator) -> list[list[str]]:
    """The shards of a node's table, cell by cell."""
    return [row.locator("td").all_inner_texts() for row in box.locator("tbody tr").all()]


class TestTwoNodes:
    def test_both_are_shown_and_one_that_stops_is_shown_as_gone(
        self, browser: Browser, engine: EmbeddedEngine, node: Node, tmp_path: Path
    ) -> None:
        with Node(tmp_path, bus_url=engine.url, api_key=KEY) as other:
            for one in (node, node, other):
                enter(browser, one, "con:two")
            console = open_console(browser, node, KEY)
            page = console.page
            viewers_now = page.locator("[data-figure=connections] .number")
            expect(viewers_now).to_have_text("3")
            for one, viewers in ((node, 2), (other, 1)):
                box = page.locator(".node", has_text=name_of(one))
                expect(box.locator("td.good")).to_have_count(2)
                for title in ("Connections", "Slow readers", "Loop lag"):
                    expect(box.locator("thead")).to_contain_text(title)
                shards = shards_of(box)
                assert sum(int(shard[2]) for shard in shards) == viewers
                assert all(shard[6].endswith(" ms") for shard in shards)
            _, told = node.request("GET", "/v1/nodes", headers=console.headers)
            assert {one["node"].rpartition(":")[2] for one in told["nodes"]} == {
                str(node.port),
                str(other.port),
            }
            assert all(len(one["shards"]) == 2 for one in told["nodes"])

            other.stop()
            gone = page.locator(".gone")
            expect(gone).to_contain_text(f"{name_of(other)} is gone")
            expect(page.locator(".node")).to_have_count(1)
            expect(viewers_now).to_have_text("2")
            _, told = node.request("GET", "/v1/nodes", headers=console.headers)
            assert len(told["nodes"]) == 1
            console.go("rooms")
            console.go("overview")
            expect(gone).to_contain_text(name_of(other))
            other.start()
            expect(page.locator(".node")).to_have_count(2)
            expect(gone).to_be_empty()

    def test_one_that_is_killed_is_gone_when_it_has_been_silent(
        self, browser: Browser, engine: EmbeddedEngine, node: Node, tmp_path: Path
    ) -> None:
        with Node(tmp_path, bus_url=engine.url, api_key=KEY) as other:
            console = open_console(browser, node, KEY)
            expect(console.page.locator(".node")).to_have_count(2)
            other.kill()
            other.start()
            for one, viewers in ((node, 1), (other, 2)):
                for _ in range(viewers):
                    enter(browser, one, "con:killed")
            _, told = node.request("GET", "/v1/nodes", headers=console.headers)
            assert len(told["nodes"]) == 2  # of the one before nothing is left to be counted twice
            viewers_now = console.page.locator("[data-figure=connections] .number")
            expect(viewers_now).to_have_text("3")
            other.kill()
            expect(console.page.locator(".gone")).to_contain_text(name_of(other))
            expect(console.page.locator(".node")).to_have_count(1)


class TestRestarts:
    def test_no_figure_is_ever_below_nothing(self, browser: Browser, node: Node) -> None:
        """Every text the overview shows while counters begin anew is looked at as it is made."""
        viewer = enter(browser, node, "con:reset")
        console = open_console(browser, node, KEY)
        page = console.page
        published = page.locator("[data-figure=published] .number")
        for i in range(5):
            say(viewer, f"line {i}")
        expect(published).not_to_have_text(NOTHING)
        page.evaluate(
            """() => {
              window.shown = [];
              const main = document.querySelector("main");
              const look = () => shown.push(main.innerText,
                ...[...main.querySelectorAll("polyline")].map((one) => one.getAttribute("points")));
              new MutationObserver(look).observe(main,
                {subtree: true, childList: true, characterData: true, attributes: true});
            }"""
        )
        pill = page.locator(".connection")
        node.stop()
        expect(pill).to_have_text("The server went down: reconnecting")
        node.start()
        expect(pill).to_have_text("Live")
        expect(page.locator("td.good")).to_have_count(2)
        expect(viewer.locator("#connection")).to_have_attribute("data-state", "open")
        expect(published).to_have_text("0")  # told since the restart, not left from before it
        say(viewer, "again")
        expect(published).not_to_have_text(NOTHING)
        shown = page.evaluate("window.shown")
        assert shown
        assert [text for text in shown if text and NUMBER.search(text)] == []

    def test_a_key_that_may_less_after_it_is_told_so_and_one_that_is_gone_asks_for_another(
        self, browser: Browser, engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        keys = '[{{name = "desk", key = "{}", scopes = {}}}]'
        every = '["metrics", "read", "moderate", "publish"]'
        node = Node(tmp_path, bus_url=engine.url, api_keys=keys.format(KEY, every))
        with node:
            console = open_console(browser, node, KEY)
            page = console.page
            console.go("rooms/con:keys")
            node.request("POST", "/v1/rooms/con:keys/messages", {"text": "hi"}, console.headers)
            dialog_of = console.line("hi").get_by_role("button", name="Delete")
            expect(dialog_of).to_have_count(1)
            page.route("**/v1/live", lambda route: route.abort())

            node.stop()
            node.set(api_keys=keys.format(KEY, '["read"]'))
            node.start()
            dialog_of.click()
            refused = console.line("hi").get_by_role("alert")
            expect(refused).to_contain_text("has no scope 'moderate'")
            page.unroute("**/v1/live")
            expect(page.locator(".connection")).to_have_text("Live")
            expect(page.locator(".main .needs").first).to_be_visible()
            expect(dialog_of).to_have_count(0)

            node.stop()
            node.set(api_keys=keys.format(OTHER, every))
            node.start()
            asked: list[str] = []
            expect(page.get_by_label("API key")).to_be_visible()
            expect(page.locator(".gate-problem")).to_contain_text("no key of this server's")
            page.on("request", lambda one: asked.append(one.url))
            assert page.evaluate("sessionStorage.length") == 0
            page.get_by_label("API key").fill(OTHER)
            with page.expect_request(re.compile("/rooms/.*/live$")):
                page.keyboard.press("Enter")
            expect(page.locator(".connection")).to_have_text("Live")
            expect(page.get_by_role("heading", level=1)).to_contain_text("con:keys")
            # Nothing was tried again meanwhile, by the console or by the room.
            assert sum(url.endswith("/v1/live") for url in asked) == 1
            assert sum(url.endswith("/live") for url in asked) == 2


class TestTabs:
    def test_each_has_its_own_key_and_none_stands_in_an_address(
        self, browser: Browser, node: Node
    ) -> None:
        context = browser.new_context(locale="en")
        first = open_console(context, node, KEY)
        other = context.new_page()
        calls: list[str] = []
        for page in (first.page, other):
            page.on("request", lambda one: calls.append(one.url))
        other.goto(f"{node.probes}/console")
        expect(other.get_by_label("API key")).to_be_visible()
        other.get_by_label("API key").fill("wrong-key-of-nobody")
        other.keyboard.press("Enter")
        expect(other.locator(".gate-problem")).to_contain_text("no key of this server's")
        expect(first.page.locator(".connection")).to_have_text("Live")
        assert sum("/v1/key" in url for url in calls) == 2  # without a key, and with the wrong one
        other.get_by_label("API key").fill(KEY)
        other.keyboard.press("Enter")
        expect(other.locator(".connection")).to_have_text("Live")

        for section in ("rooms", "users", "moderation/audit", "watch/con:a,con:b"):
            first.go(section)
        other.get_by_role("button", name="Forget the key").click()
        expect(other.get_by_label("API key")).to_be_visible()
        first.page.reload()
        expect(first.page.locator(".connection")).to_have_text("Live")
        assert not any(KEY in url for url in [*calls, first.page.url, other.url])
        assert KEY not in first.page.evaluate("JSON.stringify(localStorage) + document.cookie")
