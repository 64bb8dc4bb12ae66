"""The wire's types: what is left out, what has a default, and where the limits lie."""

from typing import Any, get_args

import msgspec
import pytest

from chat.wire.schema import (
    Ack,
    Authed,
    Bye,
    Clear,
    Delete,
    Error,
    ErrorCode,
    Gap,
    Joined,
    Joins,
    Left,
    Likes,
    Message,
    Msg,
    Msgs,
    Muted,
    Notice,
    Pong,
    ServerEvent,
    Shed,
    State,
    Welcome,
)

MSG = Msg("live:42", 1044, "k3f9-1044", "u7", "阿花", "hi", 0xFFFFFF, "scroll", 25, 1764)


class TestEvents:
    @pytest.mark.parametrize(
        ("event", "wire"),
        [
            (
                Welcome("c", "u", "阿花", "guest", 30),
                {"t": "welcome", "conn": "c", "uid": "u", "name": "阿花", "role": "guest",
                 "heartbeat": 30, "v": 1},
            ),
            (
                MSG,
                {"t": "msg", "room": "live:42", "seq": 1044, "id": "k3f9-1044", "uid": "u7",
                 "name": "阿花", "text": "hi", "color": 16777215, "mode": "scroll", "size": 25,
                 "ts": 1764},
            ),
            (
                Msgs("a", "k", 7, 9, [Message(uid="u", text="hi", ts=1), Message(9, t="clear")]),
                {"t": "msgs", "room": "a", "epoch": "k", "seq": 7, "to": 9,
                 "m": [{"uid": "u", "text": "hi", "ts": 1}, {"seq": 9, "t": "clear"}]},
            ),
            (
                Joined("a", "k", 1, 3, False, [Message(seq=1, uid="u", text="hi", ts=1)]),
                {"t": "joined", "room": "a", "epoch": "k", "seq": 1, "online": 3,
                 "recovered": False,
                 "history": [{"seq": 1, "uid": "u", "text": "hi", "ts": 1}]},
            ),
            (
                Authed("u7", "阿花", "user", 1764003600, 4),
                {"t": "authed", "uid": "u7", "name": "阿花", "role": "user",
                 "expires": 1764003600, "ref": 4},
            ),
            (Clear("a", 2, 9, "u7"), {"t": "clear", "room": "a", "seq": 2, "ts": 9, "uid": "u7"}),
            (
                Gap("a", "k", 9, 0),
                {"t": "gap", "room": "a", "epoch": "k", "seq": 9, "lost": 0},
            ),
            (
                Notice("1-0", "all", "n", "hi", 1, 2),
                {"t": "notice", "id": "1-0", "scope": "all", "name": "n", "text": "hi", "color": 1,
                 "ts": 2},
            ),
            (Shed("a", 9, 3), {"t": "shed", "room": "a", "seq": 9, "count": 3}),
            (Bye("x", 2.5), {"t": "bye", "reason": "x", "reconnect_in": 2.5}),
            (Delete("a", 2, 1, 9), {"t": "delete", "room": "a", "seq": 2, "target": 1, "ts": 9}),
            (Clear("a", 2, 9), {"t": "clear", "room": "a", "seq": 2, "ts": 9}),
            (
                State("a", 2, 9, {"slow_s": 2}),
                {"t": "state", "room": "a", "seq": 2, "ts": 9, "state": {"slow_s": 2}},
            ),
            (Likes("a", {"like": 3}), {"t": "likes", "room": "a", "counts": {"like": 3}}),
            (
                Joins("a", 7, ["u1", "阿花"]),
                {"t": "joins", "room": "a", "count": 7, "names": ["u1", "阿花"], "kind": "join"},
            ),
            (Left("a"), {"t": "left", "room": "a"}),
            (Muted("a", 0, "x"), {"t": "muted", "room": "a", "until": 0, "reason": "x"}),
            (Muted("a", uid="u1"), {"t": "muted", "room": "a", "uid": "u1"}),
            (Left("a", 2), {"t": "left", "room": "a", "ref": 2}),
            (Pong("x"), {"t": "pong", "ref": "x"}),
            (
                Ack("a", 3, "k-3", 9, 4),
                {"t": "ack", "room": "a", "seq": 3, "id": "k-3", "ts": 9, "ref": 4},
            ),
            (
                Error(ErrorCode.RATE_LIMITED, "slow", 3, 2.5),
                {"t": "error", "code": "rate_limited", "message": "slow", "ref": 3,
                 "retry_after": 2.5},
            ),
            (Error(ErrorCode.BAD_ROOM, "no"), {"t": "error", "code": "bad_room", "message": "no"}),
        ],
    )  # fmt: skip
    def test_on_the_wire(self, event: ServerEvent | Msg, wire: dict[str, Any]) -> None:
        assert msgspec.to_builtins(event) == wire

    def test_a_kind_is_said_only_when_it_is_not_chat(self) -> None:
        gift = msgspec.structs.replace(MSG, kind="gift")
        assert msgspec.to_builtins(gift)["kind"] == "gift"
        assert "kind" not in msgspec.to_builtins(MSG)

    def test_in_a_batch_only_what_there_is_is_written(self) -> None:
        assert msgspec.to_builtins(Message()) == {}
        look = {"color": 1, "mode": "top", "size": 12}
        said = {"seq": 1, "uid": "u", "name": "n", "text": "hi", **look, "ts": 2, "kind": "gift"}
        who = {"avatar": "a", "level": 4, "badges": ("b",)}
        whole = said | {"t": "x", "target": 3, "state": {}} | who | {"removed": True, "times": 2}
        whole |= {"data": [1]}
        assert msgspec.to_builtins(msgspec.convert(whole, Message)) == whole
        assert list(whole) == list(Message.__struct_fields__)

    def test_every_event_has_its_own_tag(self) -> None:
        tags = [kind.__struct_config__.tag for kind in get_args(ServerEvent)]
        assert len(set(tags)) == len(tags) == 22
