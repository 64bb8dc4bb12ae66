"""The API's bodies: what they share with the wire is the same there, and what they hold at most."""

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from chat.api.models import MAX_TARGETS, BroadcastIn, HistoryOut, MessageIn, PublishedOut
from chat.policy.claims import MAX_AVATAR, MAX_BADGE, MAX_BADGES, MAX_LEVEL, identity_of
from chat.policy.identity import MAX_NAME, MAX_UID, Refused
from chat.wire.commands import Send
from chat.wire.schema import Msg


def told(struct: type[msgspec.Struct], name: str) -> Any:
    """The type of a field, apart from its being left out."""
    [kind] = [field.type for field in msgspec.structs.fields(struct) if field.name == name]
    if get_origin(kind) in (Union, UnionType):
        [kind] = [one for one in get_args(kind) if one not in (NoneType, UnsetType)]
    return kind


class TestMessagesIn:
    @pytest.mark.parametrize("name", ["color", "mode", "size", "id"])
    def test_what_a_viewer_may_send_too_has_the_same_bounds(self, name: str) -> None:
        assert told(MessageIn, name) == told(Send, name)

    def test_what_is_left_out_is_as_in_a_viewers_message(self) -> None:
        message, send = MessageIn("hi"), Send("a", "hi")
        assert (message.color, message.mode, message.size) == (send.color, send.mode, send.size)
        assert (message.id, send.id) == (None, UNSET)

    @pytest.mark.parametrize(("field", "most"), [("name", MAX_NAME), ("uid", MAX_UID), ("id", 64)])
    def test_names_and_ids_are_as_long_as_the_wires(self, field: str, most: int) -> None:
        for size in (1, most):
            made = msgspec.convert({"text": "hi", field: "x" * size}, MessageIn)
            assert getattr(made, field) == "x" * size
        for size in (0, most + 1):
            with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
                msgspec.convert({"text": "hi", field: "x" * size}, MessageIn)

    @pytest.mark.parametrize(
        ("field", "good", "bad"),
        [
            ("avatar", ["", "https://a.example/7.png"], ["a.png", "https://a/" + "x" * MAX_AVATAR]),
            ("level", [0, MAX_LEVEL], [-1, MAX_LEVEL + 1, 1.5]),
            ("badges", [[], ["x" * MAX_BADGE] * MAX_BADGES], [["x"] * (MAX_BADGES + 1), [""]]),
        ],
    )
    def test_who_speaks_is_adorned_as_by_a_token(
        self, field: str, good: list[Any], bad: list[Any]
    ) -> None:
        for value in good:
            assert msgspec.convert({"text": "hi", field: value}, MessageIn)
            assert identity_of({"sub": "u", "exp": 1, field: value})
        for value in bad:
            with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
                msgspec.convert({"text": "hi", field: value}, MessageIn)
            with pytest.raises(Refused):
                identity_of({"sub": "u", "exp": 1, field: value})

    def test_a_misspelt_field_is_refused(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="colour"):
            msgspec.convert({"text": "hi", "colour": 1}, MessageIn)


class TestBroadcastsIn:
    @pytest.mark.parametrize("target", ["rooms", "users"])
    def test_targets_are_one_to_a_thousand(self, target: str) -> None:
        for count in (1, MAX_TARGETS):
            assert msgspec.convert({target: ["x"] * count}, BroadcastIn)
        for count in (0, MAX_TARGETS + 1):
            with pytest.raises(msgspec.ValidationError, match=rf"\$\.{target}"):
                msgspec.convert({target: ["x"] * count}, BroadcastIn)

    def test_a_misspelt_target_is_refused(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="`room`"):
            msgspec.convert({"room": ["x"]}, BroadcastIn)


class TestOut:
    @pytest.mark.parametrize(
        ("body", "written"),
        [
            (PublishedOut(1, 0), {"accepted": 1, "duplicates": 0}),
            (
                PublishedOut(0, 2, "e1", 3, 4),
                {"accepted": 0, "duplicates": 2, "epoch": "e1", "first": 3, "last": 4},
            ),
        ],
    )
    def test_what_there_is_not_is_left_out(
        self, body: PublishedOut, written: dict[str, Any]
    ) -> None:
        assert msgspec.to_builtins(body) == written

    def test_a_history_holds_messages_as_our_clients_have_them(self) -> None:
        message = Msg("a", 1, "e1-1", "u", "n", "hi", 0xFFFFFF, "scroll", 25, 1_000)
        written = msgspec.json.encode(HistoryOut("a", "e1", 1, [message]))
        assert msgspec.json.decode(written, type=HistoryOut).messages == [message]
