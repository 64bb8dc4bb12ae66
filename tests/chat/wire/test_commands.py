"""Commands: what has a default, where the limits lie, and how each is known."""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import UNSET

from chat.wire.commands import COMMANDS, Command, Join, Leave, Send, Since


def command(**fields: Any) -> Any:
    return msgspec.convert(fields, Command)


class TestCommands:
    def test_a_message_needs_no_more_than_a_room_and_a_text(self) -> None:
        assert command(t="send", room="a", text="hi") == Send(
            "a", "hi", color=0xFFFFFF, mode="scroll", size=25, id=UNSET, ref=UNSET
        )

    def test_since_is_an_epoch_and_a_seq(self) -> None:
        join = command(t="join", room="a", since={"epoch": "k3f9", "seq": 0})
        assert join == Join("a", Since("k3f9", 0))
        join = command(t="join", room="a", since={"epoch": "k3f9", "seq": 3, "ts": 1764000000123})
        assert join == Join("a", Since("k3f9", 3, 1764000000123))
        assert command(t="join", room="a", since=None) == command(t="join", room="a") == Join("a")

    def test_every_command_is_known_by_its_tag(self) -> None:
        tags = {kind.__struct_config__.tag for kind in get_args(Command)}
        rare = {"moderate", "report", "history", "like"}
        assert tags == COMMANDS == {"join", "leave", "send", "auth", "ping"} | rare

    def test_fields_of_a_newer_client_are_passed_over(self) -> None:
        assert command(t="leave", room="a", why="bored") == Leave("a")

    @pytest.mark.parametrize("misspelt", ["secnds", "until", "owners"])
    def test_a_moderators_command_has_no_others(self, misspelt: str) -> None:
        with pytest.raises(msgspec.ValidationError, match=misspelt):
            command(t="moderate", room="a", action="mute", uid="u7", **{misspelt: 60})

    @pytest.mark.parametrize("ref", [0, -1, 2**53, -(2**53), "", "r" * 64])
    def test_a_ref_is_a_number_or_a_short_text(self, ref: Any) -> None:
        assert command(t="ping", ref=ref).ref == ref

    @pytest.mark.parametrize("ref", [2**53 + 1, -(2**53) - 1, "r" * 65, 1.5, True, None, [], {}])
    def test_nothing_else_is(self, ref: Any) -> None:
        with pytest.raises(msgspec.ValidationError):
            command(t="ping", ref=ref)

    @pytest.mark.parametrize(
        ("field", "good", "bad"),
        [
            ("color", [0, 0xFFFFFF], [-1, 0x1000000, 1.5, "red", None, True]),
            ("size", [12, 64], [11, 65, "25", None]),
            ("mode", ["scroll", "top", "bottom", "reverse"], ["Scroll", "", 1, None]),
            ("id", ["x", "x" * 64], ["", "x" * 65, 7, None]),
            ("text", ["", "幕" * 9999], [None, 5, ["hi"]]),
            ("room", ["", "x" * 9999], [None, 5]),
        ],
    )
    def test_limits_of_a_message(self, field: str, good: list[Any], bad: list[Any]) -> None:
        whole = {"t": "send", "room": "a", "text": "hi"}
        for value in good:
            assert getattr(command(**(whole | {field: value})), field) == value
        for value in bad:
            with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
                command(**(whole | {field: value}))

    @pytest.mark.parametrize("seq", [-1, 2**53 + 1, 1.5, "1", None])
    def test_limits_of_a_position(self, seq: Any) -> None:
        with pytest.raises(msgspec.ValidationError, match=r"\$\.since\.seq"):
            command(t="join", room="a", since={"epoch": "e", "seq": seq})
        with pytest.raises(msgspec.ValidationError, match=r"\$\.since\.ts"):
            command(t="join", room="a", since={"epoch": "e", "seq": 1, "ts": seq})
