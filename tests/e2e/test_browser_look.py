"""How the page looks: its languages, colours and sizes, for eyes, keyboards and screen readers."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from bench.axe import AXE, broken
from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, SECRET, enter, said, say, visit

SIZES = [(320, 568), (390, 844), (844, 390), (768, 1024), (1440, 900), (2560, 1440)]
KEYBOARD = [(390, 280), (844, 180), (667, 150)]
"""What is left of a phone's window when its keyboard is open."""
STACKED = "Z" + "\u0310" * 8 + "a\u0327\u0327\u0327\u0327\u0327\u0327\u0327\u0327"
UNTRANSLATED = """() => {
  const theirs = "#chat, #tabs, #rooms, #me, #title, .brand, .look, noscript, script, title";
  const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const own = node.parentElement.closest(theirs);
    if (!own && /[a-z]{2}/i.test(node.textContent)) found.push(node.textContent.trim());
  }
  for (const element of document.querySelectorAll("[title], [aria-label], [placeholder]")) {
    if (element.closest("#chat .message, #tabs, #language, #close-room")) continue;
    for (const name of ["title", "aria-label", "placeholder"]) {
      const value = element.getAttribute(name) ?? "";
      if (/[a-z]{2}/i.test(value)) found.push(`${name}=${value}`);
    }
  }
  return found;
}"""
"""What the page says by itself in Latin letters: nothing, when it speaks Chinese."""

pytestmark = IN_CHROMIUM

SETTINGS = {"auth_secret": SECRET}


def publish(node: Node, room: str, *texts: str, **fields: Any) -> None:
    messages = [{"uid": f"u{index}", "text": text, **fields} for index, text in enumerate(texts)]
    assert node.request("POST", f"/v1/rooms/{room}/messages", messages)[0] == 200


class TestLanguages:
    @pytest.mark.parametrize(
        ("locale", "tag", "connected"),
        [("zh-CN", "zh-CN", "已连接"), ("zh-TW", "zh-CN", "已连接"), ("de", "en", "Connected")],
    )
    def test_it_speaks_the_browsers(
        self, browser: Browser, node: Node, locale: str, tag: str, connected: str
    ) -> None:
        page = visit(browser, f"{node.page}/?room=look:language", locale=locale)
        expect(page.locator("html")).to_have_attribute("lang", tag)
        expect(page.locator("#connection-text")).to_have_text(connected)

    def test_an_address_asks_for_one_and_the_switch_lasts(
        self, browser: Browser, node: Node
    ) -> None:
        page = visit(browser, f"{node.page}/?room=look:switch&lang=zh", locale="en")
        say(page, "hello")
        expect(said(page, "hello")).to_have_count(1)
        expect(page.get_by_role("button", name="发送")).to_be_visible()
        page.click("#language")
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.locator("#connection-text")).to_have_text("Connected")
        expect(page.get_by_role("button", name="Send")).to_be_visible()
        expect(said(page, "hello")).to_have_count(1)
        assert "lang=en" in page.url
        page.goto(f"{node.page}/?room=look:switch")
        page.click("#language")
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")

    def test_nothing_is_left_in_another_language(self, browser: Browser, node: Node) -> None:
        room = "look:words"
        rules = {"slow_s": 60, "silence": "user", "min_role": "user", "announcement": "公告"}
        assert node.request("PATCH", f"/v1/rooms/{room}/settings", rules)[0] == 200
        publish(node, room, "你好")
        page = visit(browser, f"{node.page}/?room={room}", locale="zh-CN")
        expect(page.locator("#rules-now p")).to_have_count(4)
        say(page, "在吗")
        expect(page.locator("#error")).to_contain_text("发言")
        page.fill("#room", "two words")
        page.press("#room", "Enter")
        expect(page.locator("#room-problem")).to_contain_text("64")
        expect(said(page, "你好")).to_have_count(1)
        assert page.evaluate(UNTRANSLATED) == []
        said(page, "你好").locator(".name").click()
        expect(page.get_by_role("menuitem")).to_have_text("向管理员举报")

    def test_what_is_left_out_is_said_in_it(self, browser: Browser, node: Node) -> None:
        page = visit(browser, f"{node.page}/?room=look:full", locale="zh-CN")
        publish(node, "look:full", *["这一行很长" * 10] * 90)
        expect(page.locator("#stage .left-out")).to_have_text(re.compile(r"^\d+% 未显示$"))


class TestColours:
    def test_they_are_the_systems_until_a_switch_says_otherwise(
        self, browser: Browser, node: Node
    ) -> None:
        page = visit(browser, f"{node.page}/?room=look:theme", color_scheme="dark")
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(ground)
        page.emulate_media(color_scheme="light")
        light = page.evaluate(ground)
        assert dark != light
        for expected, name in ((light, "light"), (dark, "dark")):
            page.click("#theme")
            assert page.evaluate(ground) == expected
            expect(page.locator("#theme")).to_have_attribute("aria-label", f"Colours: {name}")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert page.evaluate(ground) == dark

    def test_a_look_that_was_kept_wrong_is_none(self, browser: Browser, node: Node) -> None:
        page = visit(browser, f"{node.page}/?room=look:wrong")
        page.evaluate(
            "localStorage.danmaku = JSON.stringify({theme: 'x', language: {}, rooms: []})"
        )
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "auto")
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")


class TestSizes:
    @pytest.mark.parametrize(("width", "height"), SIZES)
    @pytest.mark.parametrize("locale", ["en", "zh-CN"])
    def test_all_of_the_window_is_used_and_nothing_sticks_out(
        self, browser: Browser, node: Node, width: int, height: int, locale: str
    ) -> None:
        room = "look:" + "long" * 14
        rules = {"slow_s": 60, "announcement": "x" * 200}
        assert node.request("PATCH", f"/v1/rooms/{room}/settings", rules)[0] == 200
        publish(node, room, "w" * 300, STACKED, name="m" * 30)
        screen = {"width": width, "height": height}
        url = f"{node.page}/?room={room}&room=look:other"
        page = visit(browser, url, viewport=screen, locale=locale)
        expect(page.locator("#rules-now p")).to_have_count(2)
        expect(said(page, "w" * 300)).not_to_have_count(0)
        whole = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        assert whole == [width, height]
        for part in ("#stage", "#chat", "#composer", "#input", "#send", "#room", "#language"):
            box = page.locator(part).bounding_box()
            assert box is not None, part
            assert box["x"] >= 0, part
            assert box["y"] >= 0, part
            assert box["x"] + box["width"] <= width + 0.5, part
            assert box["y"] + box["height"] <= height + 0.5, part
            assert min(box["width"], box["height"]) >= 24, part
        bottom = max(
            box["y"] + box["height"]
            for box in (page.locator(part).bounding_box() for part in (".talk", "#composer"))
            if box is not None
        )
        assert height - bottom <= 20

    @pytest.mark.parametrize(("width", "height"), KEYBOARD)
    def test_a_keyboard_leaves_what_is_typed_and_what_it_answers_to(
        self, browser: Browser, node: Node, width: int, height: int
    ) -> None:
        publish(node, "look:keys", *(f"line {n}" for n in range(30)))
        page = visit(
            browser, f"{node.page}/?room=look:keys", viewport={"width": width, "height": height}
        )
        page.locator("#input").focus()
        for part in ("#input", "#send"):
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
        expect(said(page, "line 29").last).to_be_in_viewport(ratio=0.9)

    def test_a_keyboard_that_only_covers_is_made_room_for(
        self, browser: Browser, node: Node
    ) -> None:
        page = visit(
            browser, f"{node.page}/?room=look:cover", viewport={"width": 390, "height": 844}
        )
        covered = """height => {
          for (const [name, value] of Object.entries({height, offsetTop: 120})) {
            Object.defineProperty(visualViewport, name, {configurable: true, get: () => value});
          }
          visualViewport.dispatchEvent(new Event("resize"));
        }"""
        page.evaluate(covered, 500)
        box = page.locator("#composer").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] == 620
        page.evaluate("delete visualViewport.height, delete visualViewport.offsetTop")
        page.evaluate("visualViewport.dispatchEvent(new Event('resize'))")
        box = page.locator("#composer").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] == 844

    def test_a_badge_is_in_one_piece_and_the_text_goes_on_behind_it(
        self, browser: Browser, node: Node
    ) -> None:
        room = "look:badges"
        badges = ["fan club 粉丝团", "a captain"]
        publish(node, room, "one", name="一个名字非常非常长的观众", level=7, badges=badges)
        page = visit(browser, f"{node.page}/?room={room}", viewport={"width": 320, "height": 568})
        line = said(page, "one")
        expect(line).to_have_count(1)
        tops = [
            line.evaluate("(line, one) => line.querySelector(one).getClientRects().length", one)
            for one in (".level", ".badge", ".badge + .badge")
        ]
        assert tops == [1, 1, 1]
        bottom = "(line, one) => Math.round(line.querySelector(one).getBoundingClientRect().bottom)"
        assert abs(line.evaluate(bottom, ".badge + .badge") - line.evaluate(bottom, ".text")) < 12

    def test_stacked_accents_stay_in_their_line(self, browser: Browser, node: Node) -> None:
        room = "look:stacked"
        publish(node, room, "above", "plain", "below", name="n")
        page = visit(browser, f"{node.page}/?room={room}", reduced_motion="reduce")
        lines = page.locator("#chat .message")
        expect(lines).to_have_count(3)
        beside = [lines.nth(0), lines.nth(2)]
        before = [line.screenshot() for line in beside]
        page.evaluate(
            """text => {
              const line = document.querySelectorAll("#chat .message")[1];
              line.querySelector(".text").textContent = text.repeat(4);
              line.querySelector(".who").textContent = text;
            }""",
            STACKED,
        )
        assert [line.screenshot() for line in beside] == before


@pytest.mark.skipif(not AXE.exists(), reason="npm has not installed axe-core: `make test`")
class TestAccessibility:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("locale", ["en", "zh-CN"])
    @pytest.mark.parametrize("size", [(390, 844), (1440, 900)])
    def test_axe_finds_nothing_in_any_state(
        self, browser: Browser, node: Node, theme: Any, locale: str, size: tuple[int, int]
    ) -> None:
        room = f"look:axe:{theme}:{locale}:{size[0]}"
        screen = ViewportSize(width=size[0], height=size[1])
        context = browser.new_context(
            locale=locale, color_scheme=theme, viewport=screen, reduced_motion="reduce"
        )
        page = enter(context, node, room, "m", name="Olga", role="moderator")
        assert broken(page) == []  # an empty room

        rules = {"slow_s": 60, "silence": "user", "announcement": "hi", "merge_duplicates": True}
        assert node.request("PATCH", f"/v1/rooms/{room}/settings", rules)[0] == 200
        publish(node, room, "one", "two", level=7, badges=["fan"], color=0xFF0000)
        publish(node, room, "66", "66")
        for kind in ("gift", "superchat", "system"):
            publish(node, room, kind, kind=kind)
        say(page, "mine")
        expect(said(page, "mine")).to_have_count(1)
        assert node.request("PATCH", f"/v1/rooms/{room}/settings", {"pinned": 2})[0] == 200
        expect(page.locator("#rules-now p")).to_have_count(4)
        assert broken(page) == []  # messages of all kinds, rules

        page.click("#styling") if page.locator("#styling").is_visible() else None
        page.fill("#room", f"{room}:2")
        page.press("#room", "Enter")
        expect(page.get_by_role("tab")).to_have_count(2)
        publish(node, room, "unseen")
        expect(page.locator(".tab-count:visible")).to_have_count(1)
        page.fill("#input", "x" * 301)
        page.press("#input", "Enter")
        expect(page.locator("#error")).to_be_visible()
        page.fill("#room", "no room")
        page.press("#room", "Enter")
        expect(page.locator("#room-problem")).to_be_visible()
        assert broken(page) == []  # two rooms, what was refused, a full box

        page.get_by_role("tab").first.click()
        said(page, "two").locator(".name").click()
        expect(page.get_by_role("menu")).to_be_visible()
        assert broken(page) == []  # a menu
        page.keyboard.press("Escape")

        assert node.request("PUT", f"/v1/rooms/{room}/bans/m", {"reason": "rude"})[0] == 200
        expect(page.locator("#connection")).to_have_attribute("data-state", "closed")
        assert broken(page) == []  # sent out

    def test_axe_would_find_something(self, browser: Browser, node: Node) -> None:
        page = enter(browser, node, "look:axe")
        page.evaluate("document.querySelector('label[for=input]').remove()")
        page.evaluate("document.getElementById('input').removeAttribute('placeholder')")
        assert any(one.startswith("label:") for one in broken(page))
