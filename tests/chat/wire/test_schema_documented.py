"""docs/wire.md: all there is stands in it, and its worked frames are what it says they are."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from chat.client.follower import Follower, RoomEvent
from chat.config.sections import Limits, Rooms
from chat.policy.rules import Settings
from chat.wire.commands import COMMANDS, Join, Since
from chat.wire.dialects.native import JSON
from chat.wire.schema import Ack, ErrorCode, Joined, Message, Msg, ServerEvent
from shard.closecodes import CloseCode

DOCUMENT = (Path(__file__).parents[3] / "docs" / "wire.md").read_text("utf-8")
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("|")]
FIRST_CELLS = " ".join(row.split("|")[1] for row in ROWS)
WORKED = DOCUMENT.partition("### Worked frames")[2].partition("\n## ")[0]
FRAMES = re.findall(r"^([→←]) (.*)$", WORKED, re.MULTILINE)
EVENTS = {event.__struct_config__.tag for event in get_args(ServerEvent)}
BASE_TS = 1_764_000_000_000


class TestAllThereIs:
    @pytest.mark.parametrize("name", sorted(COMMANDS | EVENTS - {"msg"} | set(ErrorCode)))
    def test_has_a_row_of_its_own(self, name: str) -> None:
        assert f"`{name}`" in FIRST_CELLS

    @pytest.mark.parametrize("code", CloseCode)
    def test_close_codes_too(self, code: CloseCode) -> None:
        assert str(int(code)) in FIRST_CELLS

    def test_and_so_have_a_rooms_rules_with_their_defaults(self) -> None:
        for name, value in Settings().state().items():
            row = next(row for row in ROWS if row.startswith(f"| `{name}`"))
            assert row.split("|")[-2].strip().strip("`") == msgspec.json.encode(value).decode()

    def test_and_so_have_the_fields_of_a_message(self) -> None:
        assert [name for name in Message.__struct_fields__ if f"`{name}`" not in DOCUMENT] == []

    def test_what_a_connection_may_by_default_is_told(self) -> None:
        limits = Limits()
        told = (
            f"{limits.commands_per_s} commands a second and {limits.commands_burst} at once, of "
            f"{limits.message_bytes} bytes each, and be in {limits.rooms_per_connection} rooms; "
            f"a text has up to {limits.text_chars} characters"
        )
        assert told in " ".join(DOCUMENT.split())

    def test_and_how_much_of_a_room_is_shown_and_kept(self) -> None:
        rooms = Rooms()
        told = (
            f"`rooms.history_on_join`, {rooms.history_on_join} by default, of the "
            f"`rooms.history`, {rooms.history}, that are kept"
        )
        assert told in " ".join(DOCUMENT.split())


class TestTheWorkedFrames:
    def test_what_is_sent_are_commands(self) -> None:
        sent = [frame for way, frame in FRAMES if way == "→"]
        assert len(sent) >= 8
        for frame in sent:
            [command] = JSON.decode(frame.encode())
            assert msgspec.json.decode(msgspec.json.encode(command)).items() >= (
                msgspec.json.decode(frame).items()
            )

    def test_every_command_is_answered_but_the_one_that_was_cut_off(self) -> None:
        asked = [msgspec.json.decode(frame)["ref"] for way, frame in FRAMES if way == "→"]
        told = [event.ref for event in heard() if hasattr(event, "ref")]
        assert [ref for ref in asked if ref not in told] == [2]

    def test_a_client_that_follows_is_where_the_document_says(self) -> None:
        follower = Follower("live:42")
        places: list[Since | None] = []
        texts: list[str] = []
        for way, frame in FRAMES:
            if way == "→":
                [command] = JSON.decode(frame.encode())
                if isinstance(command, Join):
                    follower.welcomed(0.0)
                    assert follower.join(command.ref or 0, 0.0) == command
                continue
            for event in msgspec.json.decode(frame, type=list[ServerEvent]):
                if isinstance(event, RoomEvent):
                    new = follower.take(event, 0.0)
                    texts += [one.text for one in new if isinstance(one, Msg)]
                    places.append(follower.since)
        at = [("k3f9x2", 1042, 101), ("k3f9x2", 1044, 140), ("k3f9x2", 1047, -BASE_TS)]
        at += [("k3f9x2", 1047, -BASE_TS), ("k3f9x2", 1048, 170), ("k3f9x2", 1050, 210)]
        at += [("k3f9x2", 1050, 210), ("k3f9x2", 1053, 260), ("k3f9x2", 1902, 90_050)]
        at += [("k3f9x2", 1905, -BASE_TS), ("", 0, -BASE_TS), ("p81m0c", 1, 100_000)]
        assert places == [Since(epoch, seq, BASE_TS + ts) for epoch, seq, ts in at]
        shown = ["a", "b", "c", "d", "f", "hi", "g", "h", "j", "y", "z", "again"]
        assert texts == shown

    def test_an_ack_has_the_servers_id(self) -> None:
        acks = [event for event in heard() if isinstance(event, Ack)]
        assert [ack.id for ack in acks] == ["k3f9x2-1049", "p81m0c-2"]
        assert all(ack.id.endswith(f"-{ack.seq}") for ack in acks)


def heard() -> list[ServerEvent]:
    frames = [frame for way, frame in FRAMES if way == "←"]
    return [event for one in frames for event in msgspec.json.decode(one, type=list[ServerEvent])]


def test_a_worked_answer_says_all_that_one_has_to() -> None:
    joins = [event for event in heard() if isinstance(event, Joined)]
    assert len(joins) == 4
    assert [joined.recovered for joined in joins] == [False, True, True, False]
