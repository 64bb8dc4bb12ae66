"""The stage over a real video: what a viewer does with lines, and how those look."""

import re
import time
from typing import Any

from playwright.sync_api import expect

from tests.e2e.browsers import IN_CHROMIUM, token
from tests.e2e.embedded import (
    OVERLAPS,
)
from tests.patience import until

pytestmark = IN_CHROMIUM


class TestHands:
    def test_a_line_stands_while_it_is_pointed_at_and_then_catches_up(self, embed: Any) -> None:
        on = embed()
        on.say("look at me", "and not at me")
        on.line("and not at me").wait_for(state="attached")
        until(lambda: on.where("look at me") < 900, "the line")
        on.line("look at me").hover(force=True)
        expect(on.line("look at me")).to_have_class(re.compile(r"\bheld\b"))
        assert not on.flies("look at me")
        assert on.flies("and not at me")
        on.page.mouse.move(2, 2)
        expect(on.line("look at me")).not_to_have_class(re.compile(r"\bheld\b"))
        until(
            lambda: (
                on.line("look at me").count() == 0
                or abs(on.where("look at me") - on.where("and not at me")) < 200
            ),
            "the line, where it would be",
        )

    def test_a_click_opens_a_menu_and_a_user_is_hidden(self, embed: Any) -> None:
        on = embed(on="#box")
        on.run("() => { window.hides = []; stage.on('hide', (event) => hides.push(event.uid)); }")
        on.say("pest says", uid="pest", mode="top")
        on.say("pest says more", uid="pest")
        on.say("a friend says", uid="friend")
        on.line("pest says more").wait_for(state="attached")
        on.line("pest says").first.click(force=True)
        assert on.items() == ["Copy", "Hide pest", "Report"]
        on.page.get_by_role("menuitem", name="Hide pest").click()
        expect(on.line("pest says")).to_have_count(0)
        on.say("still here", uid="pest")
        on.say("a friend says more", uid="friend")
        on.line("a friend says more").wait_for(state="attached")
        assert on.line("still here").count() == 0
        assert on.run("() => hides") == ["pest"]
        on.run("() => stage.unhide('pest')")
        on.say("forgiven", uid="pest")
        on.line("forgiven").wait_for(state="attached")

    def test_all_of_it_can_be_done_by_the_keyboard(self, embed: Any) -> None:
        on = embed(on="#box", token=token("reporter"))
        on.say("a vile line", uid="pest", mode="top")
        on.line("a vile line").wait_for(state="attached")
        keys = on.page.get_by_role("button", name="Danmaku")
        keys.focus()
        on.page.keyboard.press("ArrowDown")
        expect(on.line("a vile line")).to_have_class(re.compile(r"\bheld\b"))
        expect(on.page.get_by_role("status")).to_have_text("pest: a vile line")
        on.page.keyboard.press("Enter")
        for key in ("End", "ArrowDown", "ArrowUp"):
            on.page.keyboard.press(key)
        expect(on.page.get_by_role("menuitem", name="Report")).to_be_focused()
        on.page.keyboard.press("Enter")
        expect(on.page.get_by_role("status")).to_have_text("Reported. Thank you.")
        expect(keys).to_be_focused()
        reports = on.node.request("GET", "/v1/reports")[1]["reports"]
        assert [one["message"]["text"] for one in reports] == ["a vile line"]

    def test_escape_closes_the_menu_and_lets_the_line_go(self, embed: Any) -> None:
        on = embed(on="#box")
        on.say("one line", mode="top")
        on.line("one line").wait_for(state="attached")
        on.line("one line").click(force=True)
        assert on.items()
        on.page.mouse.move(2, 2)
        expect(on.line("one line")).to_have_class(re.compile(r"\bheld\b"))
        on.page.keyboard.press("Escape")
        assert not on.items()
        expect(on.page.locator(".danmaku.held")).to_have_count(0)

    def test_a_moderator_deletes_from_the_menu_and_others_are_told_no(self, embed: Any) -> None:
        on = embed(on="#box", token=token("mod", role="moderator"), lang="zh-CN")
        on.say("to be deleted", uid="pest", mode="top")
        on.line("to be deleted").click(force=True)
        assert on.items() == ["复制", "屏蔽 pest", "举报", "删除", "禁言 pest 10 分钟", "封禁 pest"]
        on.page.get_by_role("menuitem", name="删除").click()
        expect(on.line("to be deleted")).to_have_count(0)
        expect(on.page.get_by_role("status")).to_have_text("已删除")

    def test_a_line_that_is_taken_back_takes_its_menu_with_it(self, embed: Any) -> None:
        on = embed(on="#box")
        [seq] = on.say("soon gone", mode="top")
        on.line("soon gone").click(force=True)
        assert on.items()
        on.order("DELETE", f"/messages/{seq}")
        expect(on.page.get_by_role("menuitem")).to_have_count(0)

    def test_a_text_is_copied(self, embed: Any) -> None:
        on = embed(on="#box", context={"permissions": ["clipboard-read", "clipboard-write"]})
        on.say("copy me", mode="top")
        on.line("copy me").click(force=True)
        on.page.get_by_role("menuitem", name="Copy").click()
        expect(on.page.get_by_role("status")).to_have_text("Copied.")


class TestLook:
    def test_filters_leave_away_words_modes_and_users_also_in_flight(self, embed: Any) -> None:
        on = embed(filters={"words": ["spoiler"], "modes": ["top"]})
        on.say("a ＳＰＯＩＬＥＲ", "all fine")
        on.say("up here", mode="top")
        on.line("all fine").wait_for(state="attached")
        until(lambda: on.stats["filtered"] == 2, "what is filtered")
        assert on.line("SPOILER").count() == on.line("up here").count() == 0
        on.run("() => stage.set({ filters: { words: [/^all/] } })")
        expect(on.line("all fine")).to_have_count(0)
        on.say("up there", mode="top")
        on.line("up there").wait_for(state="attached")

    def test_size_opacity_area_and_speed_are_set(self, embed: Any) -> None:
        on = embed(size=0.5, opacity=0.4, area=0.3)
        on.say(*(f"line {n} of many" for n in range(40)))
        on.line("line 1 of many").first.wait_for(state="attached")
        lowest = max(one.bounding_box()["y"] for one in on.page.locator(".danmaku").all()[:12])
        stage = on.page.locator(".danmaku-stage").bounding_box()
        assert lowest < stage["y"] + stage["height"] * 0.35
        assert on.inside("tree.querySelector('.sky').style.opacity") == "0.4"
        small = on.line("line 1 of many").first.evaluate("one => parseFloat(one.style.fontSize)")
        on.run("() => stage.set({ size: 1 })")
        on.say("a larger one", mode="bottom")
        on.line("a larger one").wait_for(state="attached")
        assert on.line("a larger one").evaluate("one => parseFloat(one.style.fontSize)") > small
        on.run("() => stage.set({ on: false })")
        expect(on.page.locator(".danmaku")).to_have_count(0)

    def test_what_is_left_out_of_a_flood_is_counted_and_said(self, embed: Any) -> None:
        on = embed(patience=300)
        on.run("() => { window.told = []; stage.on('left_out', (stats) => told.push(stats)); }")
        own = on.run("() => stage.send('mine in the flood')")["seq"]
        assert own
        for _ in range(4):
            on.say(*(f"{n} of the flood, and long at that" for n in range(100)))
            on.say("a rocket", kind="gift")
        until(lambda: on.stats["left_out"] > 100, "what is left out")
        expect(on.page.locator(".left-out")).to_have_text(re.compile(r"^\d+ % left out$"))
        stats = on.stats
        until(lambda: on.stats["waiting"] == 0, "the end of it")
        stats = on.stats
        assert stats["flown"] + stats["left_out"] == 405
        assert 0 < on.run("() => stage.left_out") <= 1
        assert on.run("() => told.at(-1).left_out") > 0
        flew = on.run("() => flew")
        assert flew.count("mine in the flood") == 1
        assert flew.count("u a rocket") == 4

    def test_lines_in_flight_never_overlap_in_a_flood(self, embed: Any) -> None:
        on = embed()
        most = 0
        for turn in range(8):
            on.say(*(f"{turn} {n}" + " word" * (n % 7) for n in range(20)))
            on.say("large", size=40)
            if turn == 4:
                on.page.set_viewport_size({"width": 900, "height": 600})
            flying, found = on.inside(OVERLAPS)
            most = max(most, flying)
            assert found == 0
            time.sleep(0.2)
        assert most > 10

    def test_a_screen_reader_is_told_a_few_lines_or_none(self, embed: Any) -> None:
        on = embed()
        assert on.inside("tree.querySelector('.sky').ariaHidden") == "true"
        on.say(*(f"line {n}" for n in range(30)))
        on.say("a rocket", kind="gift", name="giver")
        on.say("after it")
        log = on.page.get_by_role("log")
        expect(log).to_have_text("giver: a rocket")
        quiet = embed(log=False, note=False, menu=False)
        assert quiet.page.get_by_role("log").count() == 0
        assert quiet.page.locator(".keys, .left-out").count() == 0
