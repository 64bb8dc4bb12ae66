"""Everything a moderator does by clicks in the console, on a node of two shards, and who did it."""

import re

import pytest
from playwright.sync_api import Browser, expect

from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, SECRET, enter, said, say, token, until_said
from tests.e2e.console import KEY, Console, open_console
from tests.patience import until

pytestmark = IN_CHROMIUM

SCOPES = '["metrics", "read", "moderate", "publish"]'
SETTINGS = {
    "auth_secret": SECRET,
    "api_keys": f'[{{name = "desk", key = "{KEY}", scopes = {SCOPES}}}]',
}


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return f"hand:{request.node.originalname}"[:64]


@pytest.fixture
def console(browser: Browser, node: Node) -> Console:
    return open_console(browser, node, KEY)


def is_let_in(browser: Browser, node: Node, room: str, uid: str) -> bool:
    page = browser.new_context().new_page()
    page.goto(f"{node.page}/?room={room}#token={token(uid)}")
    connection = page.locator("#connection")
    expect(connection).to_have_attribute("data-state", re.compile("^(open|closed)$"))
    return connection.get_attribute("data-state") == "open"


class TestModeration:
    def test_one_is_kicked_and_banned_for_good_and_the_audit_says_by_whom(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room, "loud", name="Loud")
        console.go(f"rooms/{room}")
        say(viewer, "noise")
        dialog = console.act_on("noise")
        dialog.get_by_label("Reason").fill("too loud")
        dialog.get_by_role("button", name="Kick for a minute").click()
        expect(console.told).to_have_text("Loud was sent out.")
        expect(viewer.locator("#connection")).to_have_attribute("data-state", "closed")

        dialog = console.act_on("noise")
        dialog.get_by_label("For").select_option("0")
        dialog.get_by_role("button", name="Ban", exact=True).click()
        expect(console.told).to_have_text("Loud is banned.")
        console.page.locator(".fold summary", has_text="Bans").click()
        expect(console.row("loud")).to_contain_text("for good")
        dialog = console.act_on("noise")
        dialog.get_by_role("button", name="Unban").click()
        expect(console.told).to_have_text("Loud may come in again.")
        answer = node.request("GET", f"/v1/rooms/{room}/bans", headers=console.headers)[1]
        assert answer["bans"] == []

        console.go("moderation/audit")
        rows = console.row(room)
        expect(rows).to_have_count(3)
        for row, did in zip(rows.all(), ("unban", "ban", "kick"), strict=True):
            expect(row).to_contain_text("desk (api)")
            expect(row).to_contain_text(did)
        expect(rows.last).to_contain_text("too loud")

    def test_a_message_is_pinned_and_unpinned_and_a_room_cleared(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room, "u1", name="One")
        console.go(f"rooms/{room}")
        for text in ("first", "second"):
            say(viewer, text)
            expect(console.line(text)).to_have_count(1)
        console.act_on("first").get_by_role("button", name="Pin the message").click()
        expect(console.told).to_have_text("Pinned.")
        pinned = console.page.locator(".pinned")
        expect(pinned).to_contain_text("One: first")
        expect(viewer.locator("#rules-now")).to_contain_text("first")
        pinned.get_by_role("button", name="Unpin").click()
        expect(pinned).to_have_count(0)
        expect(viewer.locator("#rules-now")).not_to_contain_text("first")

        console.page.get_by_role("button", name="Delete all messages").click()
        console.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(console.line("second")).to_have_count(1)
        console.page.get_by_role("button", name="Delete all messages").click()
        sure = console.page.get_by_role("dialog")
        sure.get_by_role("button", name="Delete all messages").click()
        expect(console.told).to_have_text("All messages are deleted.")
        for text in ("first", "second"):
            expect(said(viewer, text)).to_have_count(0)
            expect(console.line(text)).to_have_count(0)

    def test_all_of_one_is_deleted_and_the_rest_stays(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        spammer, viewer = enter(browser, node, room, "spam"), enter(browser, node, room, "nice")
        console.go(f"rooms/{room}")
        say(spammer, "buy")
        say(viewer, "hello")
        expect(said(viewer, "buy")).to_have_count(1)
        dialog = console.act_on("buy")
        dialog.get_by_role("button", name="Delete all of theirs").click()
        sure = console.page.get_by_role("dialog").last
        sure.get_by_role("button", name="Delete all of theirs").click()
        expect(console.page.get_by_role("dialog")).to_have_count(0)
        expect(said(viewer, "buy")).to_have_count(0)
        expect(said(viewer, "hello")).to_have_count(1)

    def test_an_address_is_banned_where_it_is_shown_and_let_in_again(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room, "u-far")
        console.go("users/u-far")
        console.page.get_by_role("button", name="Show addresses").click()
        console.page.get_by_role("dialog").get_by_role("button", name="Show addresses").click()
        console.page.get_by_role("button", name="Ban the address 127.0.0.1").click()
        dialog = console.page.get_by_role("dialog")
        dialog.get_by_label("For").select_option("3600")
        dialog.get_by_role("button", name="Ban the address").click()
        expect(console.told).to_have_text("127.0.0.1 is banned.")
        expect(viewer.locator("#connection")).to_have_attribute("data-state", "closed")
        console.go("moderation/bans")
        console.page.get_by_role("button", name="Lift for 127.0.0.1").click()
        expect(console.told).to_have_text("Lifted.")
        # Shards know of it within a second, and who is turned away until then stays away.
        until(lambda: is_let_in(browser, node, room, "u-far"), "being let in")

    def test_a_rooms_words_hold_there_and_keep_what_others_add_meanwhile(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room)
        console.go(f"rooms/{room}")
        console.page.locator(".fold summary", has_text="Words").click()
        words = console.page.get_by_role("form", name="Words")
        mask = words.get_by_label("Mask with *")
        expect(mask).to_be_enabled()
        mask.fill("spoiler")
        path = f"/v1/rooms/{room}/words"
        node.request("PUT", path, {"mask": ["theirs"]}, console.headers)
        console.save(words)
        expect(mask).to_have_value("theirs\nspoiler")
        tried = console.page.get_by_role("form", name="Try a text")
        tried.get_by_label("Text").fill("a spoiler")
        tried.get_by_role("button", name="Try").click()
        expect(console.page.locator(".outcome")).to_have_text("Is shown as: a *******")
        until_said(viewer, "no spoiler", "no *******")
        mask.fill("")
        console.save(words)
        expect(console.told).to_have_text("Saved.")
        until_said(viewer, "my spoiler", "my spoiler")


class TestSpeaking:
    def test_a_broadcast_reaches_the_rooms_or_the_users_that_are_named(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        rooms = [f"{room[:50]}-{i}" for i in range(2)]
        viewers = [enter(browser, node, one, f"u-told-{one[-1]}") for one in rooms]
        console.go("broadcast")
        form = console.page.get_by_role("form", name="Broadcast")
        form.get_by_label("Names, one a line").fill("\n".join(rooms))
        form.get_by_label("Text").fill("to both rooms")
        form.get_by_label("Kind").select_option("system")
        form.get_by_role("button", name="Send").click()
        expect(console.told).to_have_text("Published: 2.")
        for viewer in viewers:
            expect(said(viewer, "to both rooms")).to_have_count(1)
        form.get_by_label("To", exact=True).select_option("users")
        form.get_by_label("Names, one a line").fill("u-told-1")
        form.get_by_label("Text").fill("to one of them")
        form.get_by_role("button", name="Send").click()
        expect(console.told).to_have_text("Published: 1.")
        message = viewers[1].locator("#chat .message", has_text="to one of them")
        expect(message).to_have_count(1)
        expect(viewers[0].locator("#chat .message", has_text="to one of them")).to_have_count(0)


class TestRefusals:
    def test_what_is_refused_is_said_where_it_was_clicked_in_the_readers_language(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        viewer = enter(browser, node, room, "u1", name="One")
        headers = {"Authorization": f"Bearer {KEY}"}
        for locale, pin, told in (
            ("en", "Pin the message", "message"),
            ("zh-CN", "置顶此消息", "不存在或已不存在。"),
        ):
            console = open_console(browser.new_context(locale=locale), node, KEY)
            console.go(f"rooms/{room}")
            say(viewer, f"gone {locale}")
            dialog = console.act_on(f"gone {locale}")
            lines = node.request("GET", f"/v1/rooms/{room}/messages", headers=headers)[1]
            seq = lines["messages"][-1]["seq"]
            node.request("DELETE", f"/v1/rooms/{room}/messages/{seq}", headers=headers)
            dialog.get_by_role("button", name=pin).click()
            expect(dialog.get_by_role("alert")).to_contain_text(told)
            expect(console.page.locator("#failed")).to_be_empty()

    def test_a_broadcast_that_is_refused_keeps_what_was_typed(
        self, browser: Browser, node: Node
    ) -> None:
        console = open_console(browser.new_context(locale="zh-CN"), node, KEY)
        console.go("broadcast")
        text = console.page.get_by_label("内容")
        text.fill("x" * 2000)
        console.page.get_by_label("名称，每行一个").fill("r")
        console.page.get_by_role("form").get_by_role("button").click()
        expect(text).to_have_attribute("aria-invalid", "true")
        expect(console.page.locator(".problem", has_text="此项无效")).to_be_visible()
        expect(text).to_have_value("x" * 2000)


class TestWatching:
    def test_several_rooms_are_watched_at_once_by_one_stream_and_acted_in(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        streams: list[str] = []
        page = console.page
        page.on("request", lambda one: streams.append(one.url) if "/live" in one.url else None)
        rooms = [f"{room[:50]}-{i}" for i in range(3)]
        viewers = [enter(browser, node, one) for one in rooms]
        console.go("rooms")
        page.get_by_role("textbox", name="Open a room by name").fill(", ".join(rooms[:2]))
        page.keyboard.press("Enter")
        expect(page.locator(".tile")).to_have_count(2)
        page.get_by_label("Room", exact=True).fill(rooms[2])
        page.keyboard.press("Enter")
        expect(page.locator(".tile")).to_have_count(3)
        for one, viewer in zip(rooms, viewers, strict=True):
            say(viewer, f"here in {one}")
            tile = page.locator(f".tile[data-room='{one}']")
            expect(tile.locator(".line")).to_contain_text(f"here in {one}")
            expect(tile.locator(".figure")).to_contain_text("1")
        assert len(streams) == 2  # of two rooms, then of three
        console.line(f"here in {rooms[1]}").get_by_role("button", name="Delete").click()
        expect(said(viewers[1], "here in")).to_have_count(0)
        page.get_by_role("button", name=f"Watch {rooms[0]} no more").click()
        expect(page.locator(".tile")).to_have_count(2)
        page.reload()
        expect(page.locator(".tile")).to_have_count(2)
