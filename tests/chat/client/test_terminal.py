"""A room in a terminal: which line an event becomes, and what strangers' text must not do there."""

import asyncio
import os
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from chat.client.follower import News
from chat.client.link import ClientError, decode
from chat.client.terminal import (
    Content,
    as_json,
    as_text,
    clock,
    follow,
    line,
    plain,
    watch_pipe,
    who_came,
)
from chat.wire.schema import Authed, Clear, Delete, Gap, Joins, Likes, Msg, Notice, State
from tests.chat import fakenode as wire
from tests.patience import PATIENCE_S

ESCAPE = "\x1b[2J"


def msg(seq: int = 1, text: str = "hi", **more: object) -> Msg:
    return msgspec.convert(wire.msg(seq, text) | more, Msg)


async def coming(*wanted: wire.Event | News) -> AsyncIterator[News]:
    """Events as a Client gives them: messages one by one, a `joined` without them."""
    for event in wanted:
        if isinstance(event, dict):
            for decoded in decode(msgspec.json.encode([event])):
                yield decoded
        else:
            yield event


class TestLines:
    def test_a_message_is_time_name_and_text(self) -> None:
        message = msg(text="前方高能")
        assert line(message).plain == f"{clock(message.ts)} 阿花: 前方高能"

    def test_its_text_has_its_color(self) -> None:
        styles = [str(span.style) for span in line(msg(color=0xFF0080)).spans]
        assert "#ff0080" in styles

    def test_white_is_the_terminals_own_color(self) -> None:
        assert not [span for span in line(msg()).spans if "#" in str(span.style)]

    def test_its_kind_is_said(self) -> None:
        assert " [gift] 阿花: hi" in line(msg(kind="gift")).plain

    def test_how_many_said_it_is_said(self) -> None:
        assert line(msg(times=128)).plain.endswith("阿花: hi × 128")

    @pytest.mark.parametrize(
        ("count", "names", "who"),
        [
            (1, ["a"], "a"),
            (2, ["a", "b"], "a and b"),
            (7, ["a", ESCAPE], "a,  [2J and 5 more"),
            (3, ["a"], "a and 2 more"),
            (4, [], "4"),
        ],
    )
    def test_who_came_is_a_line(self, count: int, names: list[str], who: str) -> None:
        assert who_came(Joins("r", count, names)) == who

    def test_a_notice_is_marked(self) -> None:
        notice = Notice("n", "all", "system", "soon", 0, 1_764_000_000_000)
        assert line(notice).plain.endswith(" [notice] system: soon")

    @pytest.mark.parametrize(
        ("lost", "said"),
        [
            (0, "-- messages were lost, nobody knows how many --"),
            (1, "-- 1 message was lost --"),
            (12, "-- 12 messages were lost --"),
        ],
    )
    def test_a_gap_says_how_much_is_missing(self, lost: int, said: str) -> None:
        assert line(Gap("lobby", "e1", 20, lost)).plain == said

    @pytest.mark.parametrize(
        ("told", "said"),
        [
            (Delete("lobby", 6, 3, 1), "-- message 3 was taken back --"),
            (Clear("lobby", 6, 1), "-- all messages were taken back --"),
            (Clear("lobby", 6, 1, f"u{ESCAPE}9"), "-- all messages of u [2J9 were taken back --"),
        ],
    )
    def test_what_was_taken_back_is_said_because_it_cannot_be_unprinted(
        self, told: Delete | Clear, said: str
    ) -> None:
        assert line(told).plain == said

    def test_level_and_badges_stand_behind_a_name(self) -> None:
        shown = line(msg(level=7, badges=["mod", f"a{ESCAPE}"])).plain
        assert shown.endswith(" 阿花 (Lv 7, mod, a [2J): hi")
        assert line(msg(badges=[])).plain.endswith(" 阿花: hi")

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            ({}, "the room has no rules any more"),
            (
                {"slow_s": 5, "silence": "all"},
                "slow mode, 5 s; silence, moderators and above may type",
            ),
            ({"silence": "vip", "newer": 1}, "silence, vip and above may type"),
            ({"min_role": "user", "no_repeats_s": 9}, "user and above may type; no repeats, 9 s"),
            ({"pinned": {"uid": "u", "text": f"x{ESCAPE}"}}, "pinned, u: x [2J"),
            ({"pinned": {"uid": "u", "name": "n", "text": "x"}}, "pinned, n: x"),
            ({"announcement": "hi\nall"}, "announcement, hi all"),
        ],
    )
    def test_a_rooms_rules_are_said_when_they_change(self, state: Any, said: str) -> None:
        rules = {"silence": "none", "min_role": "guest", "pinned": None, "announcement": None}
        assert line(State("lobby", 4, 1, rules | state)).plain == f"-- {said} --"

    def test_a_time_no_calendar_has_is_no_error(self) -> None:
        assert clock(2**62) == "--:--:--"


class TestStrangersText:
    @pytest.mark.parametrize(
        "text",
        [ESCAPE, "a\nb", "a\rb", "\x9b2J", "a\u2028b", "\u202etxt", "\u2066x", "\x07", "\x7f"],
    )
    def test_nothing_steers_the_terminal(self, text: str) -> None:
        shown = line(msg(text=text, name=text, kind=text)).plain
        assert shown == plain(shown)
        assert len(shown.splitlines()) == 1

    def test_no_markup_is_obeyed(self) -> None:
        shown = line(msg(text="[red]x[/red] :boom:", name="[b]"))
        assert shown.plain.endswith("[b]: [red]x[/red] :boom:")

    def test_scripts_and_emoji_stay(self) -> None:
        for text in ("前方高能", "👩‍💻", "שלום", "é"):
            assert plain(text) == text


class TestFollow:
    async def test_content_is_shown_and_the_rest_noted(self) -> None:
        shown: list[Content] = []
        notes: list[str] = []
        room = wire.joined("lobby", 1)
        notice = Notice("n", "all", "x", "y", 0, 1)
        gap = Gap("lobby", "e1", 9, 1)
        refusal = wire.error({"ref": 1}, "unavailable", retry_after=1.5)
        coming_now = coming(
            *(wire.welcome(), refusal, room, msg(1), gap, notice, {"t": "pong"}),
            *({"t": "online", "room": "lobby", "count": 3}, Delete("lobby", 2, 1, 5)),
            *(Clear("lobby", 3, 5), State("lobby", 4, 5, {"slow_s": 2}), msg(5)),
            Authed("u7", "阿花", "user", 1_764_003_600),
            *(Likes("lobby", {"like": 3}), Joins("lobby", 3, ["a"])),
        )
        await follow(coming_now, shown.append, notes.append)
        gone = [Delete("lobby", 2, 1, 5), Clear("lobby", 3, 5)]
        assert shown == [msg(1), gap, notice, *gone, State("lobby", 4, 5, {"slow_s": 2}), msg(5)]
        assert notes == [
            "connected as guest-4e5f (guest)",
            "no; again in 1.5 s",
            "lobby: 1 watching",
            "lobby: a and 2 more came in",
        ]

    async def test_rules_are_noted_when_it_joins(self) -> None:
        notes: list[str] = []
        room = wire.joined("lobby", 1, state={"slow_s": 5})
        await follow(coming(room), _unexpected, notes.append)
        assert notes == ["lobby: 1 watching", "slow mode, 5 s"]

    async def test_being_sent_out_ends_it(self) -> None:
        out = {"t": "left", "room": "lobby", "reason": f"banned: rude{ESCAPE}"}
        with pytest.raises(ClientError, match=r"^sent out of lobby: banned: rude \[2J$"):
            await follow(coming({"t": "left", "room": "lobby"}, out), _unexpected, _unexpected)

    async def test_a_refused_room_ends_it(self) -> None:
        with pytest.raises(ClientError, match="bad_room: no"):
            await follow(
                coming(wire.error({"ref": 1}, "bad_room"), msg(1)), _unexpected, _unexpected
            )

    async def test_so_does_a_ban_for_a_while_for_nobody_asks_again_behind_it(self) -> None:
        banned = wire.error({"ref": 1}, "banned", retry_after=60)
        with pytest.raises(ClientError, match="banned: no"):
            await follow(coming(banned, msg(1)), _unexpected, _unexpected)


class TestOutput:
    def test_a_long_line_stays_one(self) -> None:
        output = StringIO()
        show = as_text(Console(file=output, width=20))
        show(msg(text="很长 " * 50))
        assert output.getvalue().count("\n") == 1
        assert "\x1b" not in output.getvalue()

    def test_colors_are_for_terminals(self) -> None:
        output = StringIO()
        show = as_text(Console(file=output, force_terminal=True, color_system="truecolor"))
        show(msg(color=0xFF0080))
        assert "38;2;255;0;128" in output.getvalue()

    def test_json_is_the_wires_object(self, capsys: pytest.CaptureFixture[str]) -> None:
        as_json(msg(text="a\nb"))
        [only] = capsys.readouterr().out.splitlines()
        assert msgspec.json.decode(only) == wire.msg(1, "a\nb")


class TestWatchingAPipe:
    async def test_it_tells_when_the_reader_has_gone(self) -> None:
        reading, writing = os.pipe()
        gone = asyncio.Event()
        watch_pipe(writing, gone.set)
        os.write(writing, b"x")
        os.read(reading, 1)
        await asyncio.sleep(0)
        assert not gone.is_set()
        os.close(reading)
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
        os.close(writing)

    async def test_a_file_needs_no_watching(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        watch_pipe(null, lambda: None)
        os.close(null)


def _unexpected(what: object) -> None:
    raise AssertionError(f"unexpected: {what}")
