"""The page for moderators and those they moderate, in a real browser, on a node of two shards."""

import re
from contextlib import nullcontext, suppress

import pytest
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, SECRET, enter, said, say

pytestmark = IN_CHROMIUM

SETTINGS = {"auth_secret": SECRET}


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return f"page:{request.node.originalname}"[:64]


def choose(page: Page, text: str, label: str) -> None:
    """Take an item of the menu at a message."""
    said(page, text).locator(".name").click()
    page.get_by_role("menuitem", name=label, exact=True).click()


def items(page: Page) -> list[str]:
    return page.get_by_role("menuitem").all_inner_texts()


class TestGuests:
    def test_a_reload_is_the_same_guest_under_its_name(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room)
        me = page.locator("#me")
        expect(me).to_contain_text("guest-")
        default = me.inner_text()
        me.click()
        page.fill("#nick", "花 & <b>")
        page.press("#nick", "Enter")
        expect(page.locator("#nick-form")).to_be_hidden()
        expect(me).to_contain_text(f"花 & <b> ({default})")
        expect(me).to_be_focused()
        say(page, "who am I")
        expect(said(page, "who am I").locator(".who")).to_have_text(f"花 & <b> ({default})")
        uid = said(page, "who am I").get_attribute("data-uid")
        page.reload()
        expect(me).to_contain_text(f"花 & <b> ({default})")
        expect(page.locator("#chat .own", has_text="who am I")).to_have_attribute("data-uid", uid)

    def test_a_users_name_is_the_tokens(self, browser: Browser, node: Node, room: str) -> None:
        page = enter(browser, node, room, "u1", name="阿花")
        expect(page.locator("#me")).to_have_text("阿花")
        expect(page.locator("#me")).to_be_disabled()

    def test_picture_level_and_badges_stand_at_a_name(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room)
        look = {"level": 7, "badges": ["<i>mod</i>"]}
        for avatar in ("http://127.0.0.1:1/a.png", "https://127.0.0.1:1/a.png"):
            body = {"uid": "u", "text": avatar, "avatar": avatar, **look}
            with page.expect_request("https://**/a.png") if "https" in avatar else nullcontext():
                assert node.request("POST", f"/v1/rooms/{room}/messages", body)[0] == 200
        line = said(page, "https://")
        expect(line.locator(".level")).to_have_text("Lv 7")
        expect(line.locator(".badge")).to_have_text("<i>mod</i>")
        expect(page.locator(".avatar")).to_have_count(0)  # one is not asked for, one is not there


class TestMenu:
    def test_anyone_may_report_by_keyboard(self, browser: Browser, node: Node, room: str) -> None:
        other = enter(browser, node, room)
        page = enter(browser, node, room)
        say(other, "buy this")
        name = said(page, "buy this").locator(".name")
        name.focus()
        page.keyboard.press("Enter")
        menu = page.get_by_role("menu")
        expect(menu).to_be_visible()
        assert items(page) == ["Report to the moderators"]
        expect(page.get_by_role("menuitem")).to_be_focused()
        page.keyboard.press("Escape")
        expect(menu).to_be_hidden()
        expect(name).to_be_focused()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        expect(page.locator("#told")).to_have_text("Reported. Thank you.")
        reports = node.request("GET", "/v1/reports")[1]["reports"]
        assert [one["message"]["text"] for one in reports if one["room"] == room] == ["buy this"]

    def test_arrows_go_round_and_a_click_elsewhere_closes(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room, "m", role="moderator")
        assert (
            node.request("POST", f"/v1/rooms/{room}/messages", {"uid": "u", "text": "x"})[0] == 200
        )
        said(page, "x").click(button="right")
        labels = items(page)
        assert {"Delete", "Pin", "Mute for 1 hour", "Ban for good"} <= set(labels)
        for key, index in (("ArrowUp", -1), ("ArrowDown", 0), ("ArrowDown", 1), ("End", -1)):
            page.keyboard.press(key)
            expect(page.get_by_role("menuitem").nth(index % len(labels))).to_be_focused()
        page.click("#input")
        expect(page.get_by_role("menu")).to_be_hidden()
        expect(page.locator("#input")).to_be_focused()

    def test_a_finger_that_rests_opens_it(self, browser: Browser, node: Node, room: str) -> None:
        page = enter(browser.new_context(has_touch=True), node, room)
        assert (
            node.request("POST", f"/v1/rooms/{room}/messages", {"uid": "u", "text": "x"})[0] == 200
        )
        said(page, "x").dispatch_event("pointerdown", {"pointerType": "touch", "bubbles": True})
        expect(page.get_by_role("menu")).to_be_visible()

    def test_a_line_that_flies_has_it_too_and_waits_for_it(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room, "m", role="moderator")
        texts = (f"number {n} up here" for n in range(100))

        def caught() -> tuple[str, Locator]:
            """A line that was clicked at: each is there for seconds only."""
            for text in texts:
                body = {"uid": "u", "text": text, "mode": "top"}
                assert node.request("POST", f"/v1/rooms/{room}/messages", body)[0] == 200
                line = page.locator("#sky .danmaku", has_text=text)
                with suppress(TimeoutError):
                    line.click(force=True, timeout=5_000)
                    return text, line
            raise AssertionError("none was caught")

        _, line = caught()
        expect(line).to_have_class(re.compile(r"\bheld\b"))
        page.keyboard.press("Escape")
        expect(page.get_by_role("menu")).to_be_hidden()
        page.mouse.move(1, 1)  # who is pointed at stands still, too
        expect(page.locator(".danmaku.held")).to_have_count(0)
        text, line = caught()
        page.get_by_role("menuitem", name="Delete", exact=True).click()
        expect(page.locator("#told")).to_have_text("Deleted.")
        expect(line).to_have_count(0)
        expect(said(page, text)).to_have_count(0)

    def test_a_moderator_of_the_room_rules_and_all_see_it(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        moderator = enter(browser, node, room, "m", rooms={room: "moderator"})
        expect(moderator.locator("#me")).to_contain_text("moderator")
        page = enter(browser, node, room)
        for text in ("first", "second", "third"):
            say(page, text)
        expect(said(moderator, "third")).to_have_count(1)

        choose(moderator, "second", "Delete")
        expect(moderator.locator("#told")).to_have_text("Deleted.")
        for each in (moderator, page):
            expect(each.locator("#chat .message", has_text="second")).to_have_count(0)
            expect(each.locator("#stage .danmaku", has_text="second")).to_have_count(0)

        choose(moderator, "first", "Pin")
        expect(page.locator("#rules-now [data-kind=pinned]")).to_contain_text("first")
        choose(moderator, "first", "Unpin")
        expect(page.locator("#rules-now")).to_be_hidden()

        choose(moderator, "third", "Mute for 10 minutes")
        expect(moderator.locator("#told")).to_contain_text("is muted for 10 minutes")
        expect(page.locator("#rules-now [data-kind=muted]")).to_contain_text("You are muted here.")
        say(page, "may I?")
        expect(page.locator("#error")).to_contain_text("You are muted")
        assert page.input_value("#input") == "may I?"
        expect(page.locator("#rules-now [data-kind=muted]")).to_contain_text("You are muted here.")
        expect(page.locator("#rules-now .countdown")).to_contain_text("Again in 10 min")
        page.reload()
        expect(page.locator("#rules-now [data-kind=muted]")).to_contain_text("You are muted here.")

        choose(moderator, "third", "Unmute")
        expect(moderator.locator("#told")).to_contain_text("may type again")
        expect(page.locator("#rules-now")).to_be_hidden()
        say(page, "thanks")
        expect(said(moderator, "thanks")).to_have_count(1)
        expect(page.locator("#rules-now")).to_be_hidden()

        choose(moderator, "first", "Delete all of theirs")
        for each in (moderator, page):
            expect(each.locator("#chat .message")).to_have_count(0)
        page.reload()
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        expect(page.locator("#chat .message")).to_have_count(0)

    def test_an_owner_by_the_rooms_list_is_one_there_only(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        path = f"/v1/rooms/{room}/settings"
        assert node.request("PATCH", path, {"owners": ["o"]})[0] == 200
        owner = enter(browser, node, room, "o", name="Olga")
        expect(owner.locator("#me")).to_have_text("Olga · owner")
        said_so = node.request("POST", f"/v1/rooms/{room}/messages", {"uid": "u", "text": "x"})
        assert said_so[0] == 200
        said(owner, "x").click(button="right")
        assert {"Delete", "Mute for 1 hour"} <= set(items(owner))
        other = enter(browser, node, "elsewhere", "o", name="Olga")
        expect(other.locator("#me")).to_have_text("Olga")

    def test_what_the_server_refuses_is_said(self, browser: Browser, node: Node, room: str) -> None:
        moderator = enter(browser, node, room, "m", role="moderator")
        other = enter(browser, node, room, "o", role="admin")
        say(other, "above you")
        path = f"/v1/rooms/{room}/settings"
        assert node.request("PATCH", path, {"owners": ["o"]})[0] == 200
        choose(moderator, "above you", "Ban for good")
        expect(moderator.locator("#error")).to_be_visible()
        expect(moderator.locator("#told")).to_have_text("")
        expect(other.locator("#connection")).to_have_attribute("data-state", "open")


class TestRules:
    def test_slow_mode_counts_down_and_keeps_the_words(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room)
        rules = {"slow_s": 600, "announcement": "be <b>nice</b>", "silence": "user"}
        path = f"/v1/rooms/{room}/settings"
        assert node.request("PATCH", path, rules)[0] == 200
        bar = page.locator("#rules-now")
        expect(bar).to_have_attribute("aria-live", "polite")
        expect(bar.locator("[data-kind=announcement]")).to_have_text("be <b>nice</b>")
        expect(bar.locator("[data-kind=silence]")).to_contain_text("users and above")
        say(page, "psst")
        expect(page.locator("#error")).to_contain_text("Only some may type")
        assert page.input_value("#input") == "psst"
        assert node.request("PATCH", path, {"silence": "none"})[0] == 200
        expect(bar.locator("[data-kind=silence]")).to_have_count(0)
        page.click("#send")
        expect(said(page, "psst")).to_have_count(1)
        expect(bar.locator("[data-kind=slow] .countdown")).to_contain_text("Again in 10 min")
        say(page, "again")
        expect(page.locator("#error")).to_contain_text("slow mode")
        assert page.input_value("#input") == "again"
        expect(page.locator("#chat .message")).to_have_count(1)
        page.evaluate(
            """() => {
                const input = document.getElementById("input");
                input.value = "in between";
                input.form.requestSubmit();
                input.value = "the next";
            }"""
        )
        expect(page.locator("#chat .failed", has_text="in between")).to_have_count(1)
        assert page.input_value("#input") == "the next"
        other = enter(browser, node, room)
        expect(other.locator("#rules-now [data-kind=slow]")).to_contain_text("every 10 min")

    def test_a_word_and_a_repeat_are_refused_in_words(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room)
        words = {"refuse": ["heck"]}
        assert node.request("PUT", f"/v1/rooms/{room}/words", words)[0] == 200
        rules = {"no_repeats_s": 60, "announcement": "no repeats"}
        assert node.request("PATCH", f"/v1/rooms/{room}/settings", rules)[0] == 200
        expect(page.locator("#rules-now")).to_contain_text("no repeats")  # its shard knows, too
        say(page, "hello")
        expect(said(page, "hello")).to_have_count(1)
        for text, complaint in (("hello", "said that already"), ("what the heck", "A word in it")):
            say(page, text)
            expect(page.locator("#error")).to_contain_text(complaint)
            assert page.input_value("#input") == text
        expect(page.locator("#chat .message")).to_have_count(1)


class TestSentOut:
    def test_of_a_room_with_words_and_back_by_choice(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room, "u1")
        ban = f"/v1/rooms/{room}/bans/u1"
        assert node.request("PUT", ban, {"reason": "rude"})[0] == 200
        expect(page.locator("#connection-text")).to_have_text("You are banned from this room: rude")
        page.reload()
        expect(page.locator("#connection-text")).to_have_text("You are banned from this room")
        assert node.request("DELETE", ban)[0] == 200
        page.click("#retry")
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        kick = {"uid": "u1"}
        assert node.request("POST", f"/v1/rooms/{room}/kicks", kick)[0] == 200
        expect(page.locator("#connection-text")).to_have_text("You were sent out of this room")
        page.fill("#room", f"{room}2")
        page.press("#room", "Enter")
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        say(page, "elsewhere")
        expect(said(page, "elsewhere")).to_have_count(1)

    def test_of_everywhere_without_coming_back(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        page = enter(browser, node, room, "u2")
        assert node.request("PUT", "/v1/bans/u2", {"reason": "spam"})[0] == 200
        expect(page.locator("#connection-text")).to_have_text("You are banned: spam")
        expect(page.locator("#retry")).to_be_visible()
        with page.expect_websocket() as dialled:
            page.click("#retry")
        if not dialled.value.is_closed():
            dialled.value.wait_for_event("close")
        expect(page.locator("#connection")).to_have_attribute("data-state", "closed")

    def test_for_a_minute_with_a_countdown(self, browser: Browser, node: Node, room: str) -> None:
        page = enter(browser, node, room, "u3")
        assert node.request("DELETE", "/v1/users/u3/connections")[0] == 200
        connection = page.locator("#connection")
        expect(connection).to_have_attribute("title", "A moderator sent you away")
        expect(connection).to_contain_text("Reconnecting in ")
