"""The page in a real browser: what one types flies in the other, and survives a killed shard."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from bench.local import Node
from chat.bus.redaction import Redaction
from chat.bus.store import open_store
from chat.config.sections import Config
from chat.ops.engine import EmbeddedEngine
from tests.e2e.browsers import IN_CHROMIUM, enter, until_flown

pytestmark = IN_CHROMIUM


def take_back(url: str, room: str, seq: int | None = None, uid: str | None = None) -> None:
    """As a moderator does: one message, one user's, or all."""

    async def done() -> None:
        store = open_store(Config(), url)
        redaction = Redaction(store, time.time)
        await (redaction.clear(room, uid) if seq is None else redaction.remove(room, seq))
        await store.close()

    # A loop of its own: Playwright's runs in this thread.
    thread = threading.Thread(target=lambda: asyncio.run(done()))
    thread.start()
    thread.join()


class TestPage:
    def test_what_one_types_flies_in_the_other(self, browser: Browser, node: Node) -> None:
        one, other = (enter(browser, node, "page:fly") for _ in range(2))
        one.fill("#input", "前方高能 <b>not bold</b>")
        one.click("#send")
        line = other.locator("#chat .message", has_text="前方高能 <b>not bold</b>")
        expect(line).to_have_count(1)
        expect(line).to_have_attribute("data-seq", "1")
        until_flown(other, "前方高能 <b>not bold</b>")
        assert other.locator("#stage b, #chat b").count() == 0
        own = one.locator("#chat .message", has_text="前方高能")
        expect(own).to_have_count(1)

    def test_a_backend_message_flies_too(self, browser: Browser, node: Node) -> None:
        page = enter(browser, node, "page:api")
        status, _ = node.request("POST", "/v1/rooms/page:api/messages", {"text": "from afar"})
        assert status == 200
        expect(page.locator("#chat .message", has_text="from afar")).to_have_count(1)
        until_flown(page, "from afar")

    def test_what_is_taken_back_is_shown_no_more(
        self, browser: Browser, engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        room = "page:gone"
        with Node(tmp_path, bus_url=engine.url) as node:
            page = enter(browser, node, room)
            page.fill("#input", "my own")
            page.click("#send")
            expect(page.locator("#chat .message[data-uid]")).to_have_attribute("data-seq", "1")
            for uid, text in (("u", "vile"), ("v", "fine"), ("u", "worse")):
                said = {"uid": uid, "text": text}
                assert node.request("POST", f"/v1/rooms/{room}/messages", said)[0] == 200
            lines = page.locator("#chat .message")
            expect(lines).to_have_count(4)
            take_back(engine.url, room, seq=2)
            expect(lines).to_have_count(3)
            expect(lines.filter(has_text="vile")).to_have_count(0)
            expect(page.locator("#stage .danmaku", has_text="vile")).to_have_count(0)
            take_back(engine.url, room, uid="u")
            expect(lines).to_have_count(2)
            expect(lines.filter(has_text="fine")).to_have_count(1)
            take_back(engine.url, room)
            expect(lines).to_have_count(0)
            expect(page.locator("#stage .danmaku")).to_have_count(0)

    def test_no_link_points_it_at_another_server(self, browser: Browser, node: Node) -> None:
        page = browser.new_context().new_page()
        dialled: list[str] = []
        page.on("websocket", lambda socket: dialled.append(socket.url))
        page.goto(f"{node.page}/?room=page:own&ws=ws://127.0.0.2:9/ws#ws=ws://127.0.0.2:9/ws")
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        assert dialled == [node.ws]

    @pytest.mark.parametrize("room", ["हिन्दी", "ห้องแชท", "e\u0301", "葛\U000e0100城"])
    def test_a_room_may_have_a_name_of_any_script(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, quote(room))
        page.fill("#input", f"hello {room}")
        page.click("#send")
        expect(page.locator("#chat .message")).to_have_attribute("data-seq", "1")
        expect(page.locator("#room-problem")).to_be_hidden()
        assert page.input_value("#room") == room
        path = f"/v1/rooms/{quote(room)}/messages"
        assert node.request("GET", path)[1]["messages"][0]["text"] == f"hello {room}"

    @pytest.mark.parametrize("room", ["two words", "\u3164", "Z" + "\u0301" * 9, "x" * 65])
    def test_a_name_that_no_room_may_have_is_said_and_no_other_room_opened(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = browser.new_context().new_page()
        page.goto(f"{node.page}/?room={quote(room)}")
        expect(page.locator("#room-problem")).to_contain_text("1 to 64")
        expect(page.locator("#error")).to_contain_text("no room of that name")
        assert page.input_value("#room") == room
        page.fill("#input", "into nowhere")
        page.click("#send")
        expect(page.locator("#error")).to_contain_text("not in this room")
        page.fill("#room", "page:good")
        page.press("#room", "Enter")
        expect(page.locator("#room-problem")).to_be_hidden()
        page.fill("#input", "at home")
        page.click("#send")
        expect(page.locator("#chat .own[data-seq]", has_text="at home")).to_have_count(1)
        options = page.locator("#rooms option")
        assert [one.get_attribute("value") for one in options.all()] == ["page:good"]

    def test_text_is_cleaned_and_measured_before_it_is_sent(
        self, browser: Browser, node: Node
    ) -> None:
        page = enter(browser, node, "page:text")
        lines = page.locator("#chat .message .text")
        for typed, said in (
            ("half\ud83d", "half"),
            ("Z" + "\u0310" * 99, "Z" + "\u0310" * 8),
            ("🎉" * 300, "🎉" * 300),
        ):
            page.evaluate("text => { document.getElementById('input').value = text; }", typed)
            page.click("#send")
            expect(lines.last).to_have_text(said)
            expect(page.locator("#chat .pending")).to_have_count(0)
        for typed, complaint in (("\u3164", "nothing to send"), ("🎉" * 301, "too long")):
            page.fill("#input", typed)
            page.click("#send")
            expect(page.locator("#error")).to_contain_text(complaint)
            assert page.input_value("#input") == typed
        expect(lines).to_have_count(3)

    def test_it_comes_back_by_itself_when_its_shard_is_killed(
        self, browser: Browser, node: Node
    ) -> None:
        page = enter(browser, node, "page:back")
        page.fill("#input", "before")
        page.click("#send")
        expect(page.locator("#chat .message", has_text="before")).to_have_count(1)
        for pid in node.pids("shard"):
            os.kill(pid, signal.SIGKILL)
        path = "/v1/rooms/page:back/messages"
        assert node.request("POST", path, {"text": "while away"})[0] == 200
        line = page.locator("#chat .message", has_text="while away")
        expect(line).to_have_count(1)
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        expect(page.locator("#chat .message", has_text="before")).to_have_count(1)
