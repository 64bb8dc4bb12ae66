"""The stage over a real video, as documented: its place, its time, and what its room says."""

import os
import re
import signal
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from bench.site import site
from tests.e2e.browsers import IN_CHROMIUM
from tests.e2e.embedded import (
    DOCUMENT,
    ON_TOP,
    SAME_PLACE,
    SHARE,
    UNCHANGED,
    Embedded,
    Theatre,
    address,
)
from tests.patience import until

[EXAMPLE] = re.findall(r"```html\n(.*?)```", DOCUMENT, re.DOTALL)
SCRIPT = re.compile(r'<script type="module">(.*?)</script>', re.DOTALL)

pytestmark = IN_CHROMIUM


class TestDocumented:
    def test_ten_lines_put_danmaku_over_a_video_of_another_site(self, theatre: Theatre) -> None:
        [script] = SCRIPT.findall(EXAMPLE)
        assert len(script.strip().splitlines()) <= 10
        node, host = theatre.node, theatre.host
        host.files["/live.webm"] = theatre.video
        page = theatre.browser.new_context().new_page()
        page.goto(host.page("/", address(node, EXAMPLE)))
        until(lambda: page.evaluate("() => !document.querySelector('video').paused"), "the video")
        room = re.findall(r'room: "(.*?)"', EXAMPLE)[0]
        embedded = Embedded(page, node, room)

        def flew() -> int:
            embedded.say("hello from afar")
            return embedded.line("hello from afar").count()

        until(flew, "what was said")
        page.context.close()

    def test_a_site_that_is_not_listed_gets_nothing(self, theatre: Theatre) -> None:
        with site() as stranger:
            stranger.files["/live.webm"] = theatre.video
            page = theatre.browser.new_context().new_page()
            problems: list[str] = []
            page.on("console", lambda message: problems.append(message.text))
            page.goto(stranger.page("/", address(theatre.node, EXAMPLE)))
            until(lambda: any("CORS" in one for one in problems), "the refusal")
            assert page.locator(".danmaku-stage").count() == 0
            page.context.close()

    def test_every_option_is_in_the_table(self) -> None:
        types = (Path(__file__).parents[2] / "clients/js/src/stage/types.ts").read_text("utf-8")
        names = set[str]()
        for interface in ("Look", "MountOptions extends"):
            body = types.split(f"export interface {interface}")[1].split("\n}")[0]
            names |= set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE))
        assert {"speed", "url", "client", "still"} <= names
        documented = set(re.findall(r"`(\w+)`", DOCUMENT.split("## Options")[1].split("\n## ")[0]))
        assert names <= documented


class TestPlace:
    def test_the_pages_layout_stays_as_it_is_and_nothing_stays_behind(self, embed: Any) -> None:
        on = embed()
        assert on.run(UNCHANGED)
        on.say("over the video")
        on.line("over the video").wait_for(state="visible")
        assert on.inside(SAME_PLACE)
        on.run("() => stage.destroy()")
        assert on.run("() => document.querySelectorAll('.danmaku-stage').length") == 0
        assert on.run(UNCHANGED)
        assert on.run("() => document.querySelector('video').getAttribute('style')") is None
        assert on.run("() => stage.client.state") == "closed"

    def test_it_follows_a_video_that_is_moved_and_resized(self, embed: Any) -> None:
        on = embed()
        on.run("() => { document.getElementById('above').style.paddingTop = '77px'; }")
        until(lambda: on.inside(SAME_PLACE), "the stage, further down")
        on.run("() => { document.querySelector('.player').style.width = '400px'; }")
        until(lambda: on.inside(SAME_PLACE), "the stage, smaller")

    def test_any_box_will_do(self, embed: Any) -> None:
        on = embed(on="#box")
        on.say("in a box")
        on.line("in a box").wait_for(state="visible")
        box = on.page.locator("#box").bounding_box()
        line = on.line("in a box").bounding_box()
        assert box["y"] <= line["y"] < box["y"] + box["height"]
        on.run("() => stage.destroy()")
        assert on.run("() => document.getElementById('box').childElementCount") == 0
        assert on.run("() => document.getElementById('box').getAttribute('style')") is None

    def test_fullscreen_has_the_stage_on_top(self, embed: Any) -> None:
        on = embed()
        on.run("() => stage.fullscreen()")
        until(lambda: on.run("() => document.fullscreenElement"), "fullscreen")
        on.say("on top of all")
        until(lambda: on.inside(ON_TOP), "a line on top")
        assert on.inside(SAME_PLACE)
        assert on.inside("host.clientWidth === innerWidth && host.clientHeight === innerHeight")
        on.run("() => stage.fullscreen()")
        until(lambda: on.run(UNCHANGED), "the page as it was")
        assert on.inside("video.getAttribute('style')") is None

    def test_so_it_is_where_the_video_went_there_by_itself(self, embed: Any) -> None:
        on = embed()
        on.run("() => document.querySelector('video').requestFullscreen()")
        until(lambda: on.inside("host.matches(':popover-open')"), "the stage in the top layer")
        on.say("on top of the video")
        on.line("on top of the video").wait_for(state="visible")
        assert on.inside("host.clientWidth === innerWidth && host.clientHeight === innerHeight")
        on.run("() => document.exitFullscreen()")
        until(lambda: on.inside("host.popover === null"), "the stage in its place")
        until(lambda: on.inside(SAME_PLACE), "the stage in its place")
        assert on.line("on top of the video").count() == 1

    def test_two_stages_on_one_video_are_one_too_many(self, embed: Any) -> None:
        on = embed()
        code = """(options) => {
          try { mount(document.querySelector("video"), options); } catch ({ code }) { return code; }
        }"""
        good = {"url": on.node.ws, "room": on.room}
        assert on.run(code, good) == "bad_option"
        on.run("() => stage.destroy()")
        wrongs: list[dict[str, Any]] = [
            *({"opactiy": 1}, {"room": ""}, {"url": ""}, {"size": "big"}),
            {"filters": {"word": []}},
        ]
        for wrong in wrongs:
            assert on.run(code, {**good, **wrong}) == "bad_option", wrong
        assert on.run(code, good) is None


class TestTime:
    def test_lines_stand_while_the_video_does_and_go_on_with_it(self, embed: Any) -> None:
        on = embed()
        on.say("before it began")
        on.line("before it began").wait_for(state="attached")
        assert on.flies("before it began")
        on.run("() => document.querySelector('video').play()")
        on.say("while it plays")
        on.line("while it plays").wait_for(state="attached")
        on.run("() => document.querySelector('video').pause()")
        until(lambda: not on.flies("while it plays"), "the standstill")
        on.say("while it stands")
        on.say("a gift meanwhile", kind="gift")
        until(lambda: on.stats["waiting"] == 1, "the gift")
        on.run("() => document.querySelector('video').play()")
        on.line("a gift meanwhile").wait_for(state="attached")
        assert on.flies("a gift meanwhile")
        assert on.line("while it stands").count() == 0
        assert on.stats["left_out"] == 0

    def test_they_go_at_its_rate(self, embed: Any) -> None:
        on = embed()
        on.run("() => document.querySelector('video').play()")
        on.say("a line")
        on.line("a line").wait_for(state="attached")
        on.run("() => { document.querySelector('video').playbackRate = 2; }")
        rates = "lines.map((one) => one.getAnimations()[0].playbackRate)"
        until(lambda: on.inside(rates) == [2], "twice the rate")

    def test_who_asked_for_less_motion_sees_lines_that_stand(self, embed: Any) -> None:
        on = embed(context={"reduced_motion": "reduce"})
        on.say("calmly")
        on.line("calmly").wait_for(state="attached")
        assert not on.flies("calmly")
        on.run("() => stage.set({ still: 'off' })")
        expect(on.line("calmly")).to_have_count(0)
        on.say("not at all")
        until(lambda: "not at all" in on.run("() => heard"), "the message")
        on.run("() => stage.set({ still: 'fixed' })")
        on.say("calmly again")
        on.line("calmly again").wait_for(state="attached")
        assert on.line("not at all").count() == 0


class TestRoom:
    def test_what_is_taken_back_vanishes_in_flight(self, embed: Any) -> None:
        on = embed()
        seqs = on.say("vile", "fine")
        on.line("fine").wait_for(state="attached")
        on.order("DELETE", f"/messages/{seqs[0]}")
        expect(on.line("vile")).to_have_count(0)
        assert on.line("fine").count() == 1
        on.order("DELETE", "/messages")
        expect(on.line("fine")).to_have_count(0)

    def test_hostile_text_is_text(self, embed: Any) -> None:
        on = embed()
        text = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
        on.say(text, kind="superchat", name="<b onclick=hack()>name</b>")
        on.line(text).wait_for(state="attached")
        tags = on.inside("[...tree.querySelectorAll('.sky *')].map((one) => one.localName)")
        assert set(tags) == {"div", "span"}
        assert on.run("() => window.hacked") is None
        box = on.line(text).bounding_box()
        tower = "Z" + "\u0310" * 8
        on.say(tower)
        on.line(tower).wait_for(state="attached")
        assert on.line(tower).bounding_box()["height"] <= box["height"]

    def test_modes_kinds_and_colours_are_as_the_wire_says(self, embed: Any) -> None:
        on = embed()
        on.say("red", color=0xFF0000)
        on.say("above", mode="top")
        on.say("below", mode="bottom")
        on.say("a present", kind="gift", name="giver")
        expect(on.line("red")).to_have_css("color", "rgb(255, 0, 0)")
        expect(on.line("giver a present")).to_have_attribute("data-kind", "gift")
        on.line("below").wait_for(state="attached")
        over, under = (on.line(one).bounding_box() for one in ("above", "below"))
        assert over["y"] < under["y"]
        assert not on.flies("above")

    def test_ones_own_is_framed(self, embed: Any) -> None:
        on = embed()
        assert on.run("() => stage.send('my own words', { color: 0xff0000 })")["seq"] == 1
        expect(on.line("my own words")).to_have_class(re.compile(r"\bown\b"))

    def test_a_shard_may_be_killed_beneath_it(self, embed: Any) -> None:
        on = embed()
        on.say("before")
        on.line("before").wait_for(state="attached")
        on.run("() => { window.joined = false; }")
        for pid in on.node.pids("shard"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: on.run("() => window.joined"), "the room")
        on.say("afterwards")
        on.line("afterwards").wait_for(state="attached")

    def test_a_client_that_is_there_is_shared_and_outlives_it(self, embed: Any) -> None:
        on = embed()
        on.run("() => stage.destroy()")
        on.run(SHARE, on.node.ws)
        shared = Embedded(on.page, on.node, "stage:shared")
        shared.say("by the same connection")
        shared.line("by the same connection").wait_for(state="attached")
        on.run("() => stage.destroy()")
        assert on.run("() => [client.state, client.rooms.join()]") == ["open", "stage:other"]
        on.run("() => client.close()")
