"""The page through an evening's mishaps: a cut network, a restart, a new token, a flood."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser, expect

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.browsers import IN_CHROMIUM, SECRET, enter, said, say, token
from tests.e2e.cuttable import Cuttable

PER_S = 1000
BATCH = 100
LEAST = 100
"""Batches of a flood, of which a second has ten."""

pytestmark = IN_CHROMIUM


def test_the_network_is_cut_and_mended(browser: Browser, node: Node) -> None:
    with Cuttable(node.port) as network:
        page = browser.new_context().new_page()
        page.goto(f"http://127.0.0.1:{network.port}/?room=life:cut&room=life:too")
        connection = page.locator("#connection")
        expect(connection).to_have_attribute("data-state", "open")
        say(page, "before")
        expect(said(page, "before")).to_have_count(1)
        network.cut()
        expect(connection).to_have_attribute("data-state", "connecting")
        expect(page.locator("#connection-text")).to_have_text("Reconnecting")
        say(page, "in between")
        expect(page.locator("#chat .pending .fate")).to_have_text("sending…")
        for room in ("life:cut", "life:too"):
            assert node.request("POST", f"/v1/rooms/{room}/messages", {"text": "missed"})[0] == 200
        network.mend()
        expect(page.locator("#chat .message .text")).to_have_text(
            ["before", "missed", "in between"]
        )
        expect(page.locator("#chat .pending")).to_have_count(0)
        expect(connection).to_have_attribute("data-state", "open")
        page.get_by_role("tab").nth(1).click()
        expect(said(page, "missed")).to_have_count(1)


def test_a_server_that_is_restarted_beneath(
    browser: Browser, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    with Node(tmp_path, bus_url=engine.url) as node:
        page = enter(browser, node, "life:restart")
        say(page, "before")
        expect(said(page, "before")).to_have_count(1)
        assert node.stop() == 0
        expect(page.locator("#connection")).to_have_attribute("data-state", "connecting")
        say(page, "while it was away")
        node.start()
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        expect(page.locator("#chat .message .text")).to_have_text(["before", "while it was away"])
        expect(page.locator("#chat .pending")).to_have_count(0)


def test_a_newer_token_in_the_address_is_shown_at_once(browser: Browser, tmp_path: Path) -> None:
    with Node(tmp_path, auth_secret=SECRET) as node:
        page = enter(browser, node, "life:token", "u1", name="Ann", exp=int(time.time()) + 55)
        expect(page.locator("#told")).to_contain_text("Your sign-in ends in")
        newer = token("u1", name="Ann the second", role="vip")
        page.evaluate("token => { location.hash = `token=${token}`; }", newer)
        expect(page.locator("#me")).to_have_text("Ann the second · VIP")
        # A page that did not follow is told that its token ended; this one goes on.
        other = enter(browser, node, "life:token", "u2")
        ending = token("u2", exp=int(time.time()) + 5)
        other.evaluate("token => { location.hash = `token=${token}`; }", ending)
        expect(other.locator("#connection-text")).to_have_text("Your token has expired")
        other.evaluate("token => { location.hash = `token=${token}`; }", token("u2"))
        expect(other.locator("#connection")).to_have_attribute("data-state", "open")
        say(page, "still here")
        expect(said(other, "still here")).to_have_count(1)
        assert page.locator("#connection").get_attribute("data-state") == "open"


def test_a_thousand_messages_a_second(browser: Browser, node: Node) -> None:
    room = "life:flood"
    page = enter(browser, node, room)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    seen = threading.Event()

    def flood() -> int:
        """How many batches it took until enough was seen, and LEAST at that."""
        begun = time.monotonic()
        for batch in itertools.count():
            said = [{"uid": f"u{n}", "text": f"{batch}-{n}"} for n in range(BATCH)]
            assert node.request("POST", f"/v1/rooms/{room}/messages", said)[0] == 200
            if seen.wait(max(0.0, begun + batch * BATCH / PER_S - time.monotonic())):
                if batch >= LEAST:
                    return batch + 1
                time.sleep(BATCH / PER_S)
        raise AssertionError

    with ThreadPoolExecutor() as beside:
        flooding = beside.submit(flood)
        try:
            expect(page.locator("#chat .message").nth(199)).to_be_attached()
            page.fill("#input", "through it all")
            page.click("#send")
            expect(page.locator("#input")).to_have_value("")
            expect(page.locator("#chat")).to_have_attribute("aria-live", "off")
        finally:
            seen.set()
        batches = flooding.result()
    expect(said(page, f"{batches - 1}-{BATCH - 1}")).to_be_in_viewport()
    assert page.locator("#chat .message").count() <= 201
    assert node.request("GET", f"/v1/rooms/{room}")[1]["seq"] == batches * BATCH + 1
    expect(page.locator("#chat")).to_have_attribute("aria-live", "polite")
    assert not problems
