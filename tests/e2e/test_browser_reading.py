"""A chat one can live in: history, keys, several rooms, pictures, on a node of two shards."""

from typing import Any

from playwright.sync_api import Browser, Page, expect

from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, enter, said, say

SAID = 430
"""More than one page, less than is kept."""
DOT = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    b"\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff"
    b"\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)
FOCUSED = "document.activeElement.closest('.message')?.querySelector('.text').textContent ?? ''"
ANCHORED = """text => {
  const line = [...document.querySelectorAll("#chat .message")].find(
    (one) => one.querySelector(".text").textContent === text);
  return Math.round(line.getBoundingClientRect().top);
}"""
"""Where on the screen a line is."""

pytestmark = IN_CHROMIUM


def publish(node: Node, room: str, *texts: str, **fields: Any) -> None:
    for start in range(0, len(texts), 100):
        messages = [{"uid": "u", "text": text, **fields} for text in texts[start : start + 100]]
        assert node.request("POST", f"/v1/rooms/{room}/messages", messages)[0] == 200


def texts(page: Page) -> list[str]:
    return page.locator("#chat .message .text").all_inner_texts()


def scroll(page: Page, to: int) -> None:
    page.evaluate("to => { document.getElementById('chat').scrollTop = to; }", to)


def to_the_top(page: Page, end: str) -> None:
    """Scroll up until it is said that there is no more."""
    page.wait_for_function(
        """end => {
          document.getElementById("chat").scrollTop = 0;
          return document.querySelector("#chat .head").textContent.includes(end);
        }""",
        arg=end,
    )


class TestHistory:
    def test_it_goes_back_to_the_beginning_and_one_keeps_ones_place(
        self, browser: Browser, node: Node
    ) -> None:
        room, every = "read:back", [f"line {n}" for n in range(SAID)]
        publish(node, room, *every)
        page = enter(browser, node, room)
        expect(said(page, f"line {SAID - 1}")).to_be_in_viewport()
        first = texts(page)[0]
        assert first != "line 0"
        scroll(page, 0)
        expect(page.locator("#chat .message").first).not_to_contain_text(first)
        assert abs(page.evaluate(ANCHORED, first)) < 900  # it is still about where it was
        expect(said(page, first)).to_be_in_viewport()
        to_the_top(page, "began")
        assert texts(page) == every
        publish(node, room, "the newest")
        pill = page.locator("#newer")
        expect(pill).to_have_text("1 new")
        publish(node, room, "and one")
        expect(pill).to_have_text("2 new")
        pill.click()
        expect(pill).to_be_hidden()
        expect(said(page, "and one")).to_be_in_viewport()
        expect(page.locator("#chat .message")).to_have_count(200)
        expect(page.locator("#chat .head")).to_have_text("")

    def test_it_says_when_older_ones_are_kept_no_more(
        self, browser: Browser, tmp_path: Any
    ) -> None:
        with Node(tmp_path, rooms_history=60, rooms_history_on_join=40) as node:
            publish(node, "kept", *(f"line {n}" for n in range(SAID)))
            page = enter(browser, node, "kept")
            expect(said(page, f"line {SAID - 1}")).to_be_in_viewport()
            to_the_top(page, "Nothing older is kept")
            shown = texts(page)
            assert shown == [f"line {n}" for n in range(SAID - len(shown), SAID)]
            assert 40 < len(shown) < SAID

    def test_what_was_taken_back_is_not_there_and_one_goes_on_behind_it(
        self, browser: Browser, node: Node
    ) -> None:
        room = "read:gone"
        publish(node, room, "the first", uid="a")
        publish(node, room, *(f"vile {n}" for n in range(250)), uid="b")
        publish(node, room, *(f"line {n}" for n in range(40)), uid="a")
        page = enter(browser, node, room)
        expect(said(page, "line 39")).to_be_in_viewport()
        deleted = node.request("DELETE", f"/v1/rooms/{room}/messages?uid=b")
        assert deleted[0] == 200
        to_the_top(page, "This is where the chat began")
        assert texts(page) == ["the first", *(f"line {n}" for n in range(40))]


class TestKeys:
    def test_the_chat_is_one_stop_and_arrows_go_through_it(
        self, browser: Browser, node: Node
    ) -> None:
        room = "read:keys"
        publish(node, room, *(f"line {n}" for n in range(60)))
        page = enter(browser, node, room)
        expect(said(page, "line 59")).to_be_in_viewport()
        expect(page.locator("#chat .name[tabindex='0']")).to_have_count(1)
        page.locator("#me").focus()
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == "line 59"
        for key, text in (("ArrowUp", "line 58"), ("ArrowUp", "line 57"), ("ArrowDown", "line 58")):
            page.keyboard.press(key)
            assert page.evaluate(FOCUSED) == text
        publish(node, room, "meanwhile")
        expect(page.locator("#newer")).to_have_text("1 new")
        assert page.evaluate(FOCUSED) == "line 58"
        page.keyboard.press("Enter")
        expect(page.get_by_role("menuitem").first).to_be_focused()
        page.keyboard.press("Escape")
        assert page.evaluate(FOCUSED) == "line 58"
        for _ in range(3):
            page.keyboard.press("Home")
            expect(page.locator("#chat .head")).to_contain_text("began")
        page.keyboard.press("Home")
        assert page.evaluate(FOCUSED) == "line 0"
        expect(page.locator("#chat .message").first).to_be_in_viewport()
        page.keyboard.press("Escape")
        expect(page.locator("#input")).to_be_focused()
        expect(page.locator("#newer")).to_be_hidden()
        expect(said(page, "meanwhile")).to_be_in_viewport()

    def test_the_focus_is_not_lost_with_a_line(self, browser: Browser, node: Node) -> None:
        room = "read:lost"
        publish(node, room, "one", "two", "three")
        page = enter(browser, node, room)
        said(page, "two").locator(".name").focus()
        assert node.request("DELETE", f"/v1/rooms/{room}/messages/2")[0] == 200
        expect(said(page, "two")).to_have_count(0)
        assert page.evaluate(FOCUSED) == "three"


class TestRooms:
    def test_each_is_a_tab_with_its_own_chat_likes_and_words(
        self, browser: Browser, node: Node
    ) -> None:
        page = enter(browser, node, "read:one")
        say(page, "in one")
        page.click("#like")
        expect(page.locator("#likes")).to_have_text("1")
        page.fill("#input", "half typed")
        page.fill("#room", "read:two")
        page.press("#room", "Enter")
        tabs = page.get_by_role("tab")
        expect(tabs).to_have_count(2)
        expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
        expect(page.locator("#chat .message")).to_have_count(0)
        expect(page.locator("#likes")).to_have_text("0")
        expect(page.locator("#input")).to_have_value("")
        say(page, "in two")
        expect(said(page, "in two")).to_have_count(1)
        publish(node, "read:one", "heard", "from afar")
        expect(tabs.first.locator(".tab-count")).to_contain_text("2")
        tabs.nth(1).focus()
        page.keyboard.press("ArrowLeft")
        expect(tabs.first).to_be_focused()
        assert "room=read%3Aone" in page.url
        expect(page.locator("#chat .message .text")).to_have_text(["in one", "heard", "from afar"])
        expect(tabs.first.locator(".tab-count")).to_be_hidden()
        expect(page.locator("#input")).to_have_value("half typed")
        expect(page.locator("#likes")).to_have_text("1")
        page.reload()
        expect(tabs).to_have_count(2)
        expect(tabs.first).to_have_attribute("aria-selected", "true")
        page.click("#close-room")
        expect(tabs).to_have_count(1)
        expect(said(page, "in two")).to_have_count(1)
        expect(page.locator("#close-room")).to_be_hidden()
        page.go_back()
        expect(tabs).to_have_count(2)

    def test_an_address_may_name_several(self, browser: Browser, node: Node) -> None:
        page = enter(browser, node, "read:b&room=read:a")
        expect(page.get_by_role("tab")).to_have_text(["read:b", "read:a"])
        expect(page.get_by_role("tab").first).to_have_attribute("aria-selected", "true")
        assert page.title().startswith("#read:b")

    def test_what_is_taken_back_is_gone_in_rooms_that_are_not_seen(
        self, browser: Browser, node: Node
    ) -> None:
        page = enter(browser, node, "read:seen&room=read:unseen")
        publish(node, "read:unseen", "vile", "fine")
        expect(page.locator(".tab-count:visible")).to_contain_text("2")
        assert node.request("DELETE", "/v1/rooms/read:unseen/messages/1")[0] == 200
        page.get_by_role("tab").nth(1).click()
        expect(said(page, "fine")).to_have_count(1)
        expect(said(page, "vile")).to_have_count(0)


class TestFaces:
    def test_a_picture_that_comes_or_an_initial(self, browser: Browser, node: Node) -> None:
        page = browser.new_context().new_page()
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url) if "a.png" in one.url else None)
        page.route("https://pictures.test/a.png", lambda route: route.fulfill(body=DOT))
        page.goto(f"{node.page}/?room=read:faces")
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        pictures = ("https://pictures.test/a.png", "https://127.0.0.1:1/a.png")
        for picture in (*pictures, "http://127.0.0.1:1/other/a.png"):
            publish(node, "read:faces", picture, name="阿花", avatar=picture)
        lines = page.locator("#chat .message")
        expect(lines).to_have_count(3)
        expect(lines.locator(".face")).to_have_text(["阿"] * 3)
        expect(lines.locator(".avatar")).to_have_count(1)
        expect(lines.first.locator(".avatar")).to_have_js_property("naturalWidth", 1)
        assert sorted(asked) == sorted(pictures)
