"""The page among many: likes, who comes in, and what many say at once, on a node of two shards."""

import re

from playwright.sync_api import Browser, expect

from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, enter, until_flown

pytestmark = IN_CHROMIUM

FLOOD = 40


def set_in(node: Node, room: str, **settings: bool | str) -> None:
    assert node.request("PATCH", f"/v1/rooms/{room}/settings", settings)[0] == 200


class TestLikes:
    def test_taps_are_shown_at_once_and_to_everybody_and_to_who_comes_later(
        self, browser: Browser, node: Node
    ) -> None:
        one, other = (enter(browser, node, "crowd:likes") for _ in range(2))
        for _ in range(3):
            one.click("#like")
        expect(one.locator("#likes")).to_have_text("3")
        expect(other.locator("#likes")).to_have_text("3")
        other.click("#like")
        for page in (one, other, enter(browser, node, "crowd:likes")):
            expect(page.locator("#likes")).to_have_text("4")
        assert node.request("GET", "/v1/rooms/crowd:likes")[1]["likes"] == {"like": 4}

    def test_another_room_has_its_own(self, browser: Browser, node: Node) -> None:
        page = enter(browser, node, "crowd:mine")
        page.click("#like")
        expect(page.locator("#likes")).to_have_text("1")
        page.fill("#room", "crowd:another")
        page.press("#room", "Enter")
        expect(page.locator("#likes")).to_have_text("0")

    def test_the_button_is_one_for_the_keyboard_and_for_who_cannot_see_it(
        self, browser: Browser, node: Node
    ) -> None:
        page = enter(browser, node, "crowd:keys")
        button = page.get_by_role("button", name=re.compile("^Like"))
        button.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#likes")).to_have_text("1")


class TestJoins:
    def test_who_comes_in_is_told_on_a_line_that_goes_away(
        self, browser: Browser, node: Node
    ) -> None:
        page = enter(browser, node, "crowd:joins")
        came = page.locator("#came")
        expect(came).to_have_text("")
        set_in(node, "crowd:joins", join_notices=True, announcement="it is told")
        expect(page.locator("#rules-now")).to_contain_text("it is told")  # its shard knows, too
        newcomer = enter(browser, node, "crowd:joins")
        name = newcomer.locator("#me").inner_text()
        expect(came).to_have_text(f"{name} came in")
        expect(came).to_have_text("")


class TestDuplicates:
    def test_what_many_say_at_once_stands_there_once(self, browser: Browser, node: Node) -> None:
        page = enter(browser, node, "crowd:flood")
        set_in(node, "crowd:flood", merge_duplicates=True)
        said = [{"uid": f"u{i}", "text": "666"} for i in range(FLOOD)]
        assert node.request("POST", "/v1/rooms/crowd:flood/messages", said)[0] == 200
        lines = page.locator("#chat .message", has_text="666")
        until_flown(page, f"666 × {FLOOD}")
        expect(lines).to_have_count(1)
        expect(lines.locator(".times")).to_have_text(f"× {FLOOD}")
        assert node.request("GET", "/v1/rooms/crowd:flood")[1]["seq"] == FLOOD
        page.fill("#input", "after it")
        page.click("#send")
        expect(page.locator("#chat .own", has_text="after it")).to_have_attribute(
            "data-seq", str(FLOOD + 1)
        )
