"""goim's dialects: what a client asks for, and how it is answered and written to."""

import json
import struct
import zlib
from itertools import pairwise
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.wire.commands import Join, Ping, Since
from chat.wire.dialects.dialect import BadCommand, Missed
from chat.wire.dialects.goim import PACK_FROM, Goim, dialects
from chat.wire.dialects.goimpackets import packet, parse
from chat.wire.foreign import Beat, Connect, Counted, Invalid, LeaveAll, Move
from chat.wire.schema import (
    Bye,
    Joined,
    Message,
    Msg,
    Msgs,
    Online,
    Pong,
    Welcome,
)
from shard.closecodes import CloseCode

PLAIN, ZLIB, BROTLI = ALL = dialects("live:{}")
ROOM = "live:42"


def auth(fields: Any, seq: int = 1) -> bytes:
    return packet(7, json.dumps(fields).encode(), 1, seq)


def lines(count: int) -> Msgs:
    said = [Message(uid=f"{1000 + i}", text="前方高能" * 3, ts=1764000000000) for i in range(count)]
    return Msgs(ROOM, "k", 1, count, said)


def unpacked(payload: bytes) -> bytes:
    """The packets in a payload, as a client comes by them."""
    length, _, version, op, _ = struct.unpack_from(">IHHII", payload)
    if op == 5 and version:
        assert length == len(payload)
        body = payload[16:]
        found: bytes = zlib.decompress(body) if version == 2 else brotli.decompress(body)
        return found
    return payload


class TestIntroductions:
    @pytest.mark.parametrize(
        ("protover", "dialect"),
        [
            (0, PLAIN),
            (1, PLAIN),
            (2, ZLIB),
            (3, BROTLI),
            (3.0, BROTLI),
            (4, PLAIN),
            (None, PLAIN),
            ("3", PLAIN),
        ],
    )
    def test_the_first_packet_says_who_where_and_how(self, protover: Any, dialect: Goim) -> None:
        fields = {"uid": 0, "roomid": 42, "key": "a.b.c", "protover": protover, "platform": "web"}
        found = PLAIN.decode(auth(fields, seq=9))
        assert found == [Connect("a.b.c", ref=9, room=ROOM, speaks=dialect), Join(ROOM)]

    @pytest.mark.parametrize("key", ["", None])
    def test_without_a_key_one_is_a_guest(self, key: str | None) -> None:
        [connect, _] = PLAIN.decode(auth({"roomid": 42, "key": key}))
        assert isinstance(connect, Connect)
        assert (connect.token, connect.guest, connect.name) == (None, None, None)

    @pytest.mark.parametrize(
        ("fields", "joins"),
        [
            ({"room_id": "live://42"}, [Join(ROOM)]),
            ({"room_id": "chat://a", "roomid": 42}, [Join("chat:a")]),
            ({"roomid": "42"}, [Join(ROOM)]),
            ({"room_id": "", "accepts": [1000]}, []),
            ({"room_id": "", "roomid": 42}, [Join(ROOM)]),
            ({"room_id": None, "roomid": 0}, [Join("live:0")]),
            ({}, []),
        ],
    )
    def test_the_room_by_number_or_by_name(self, fields: Any, joins: list[Join]) -> None:
        assert PLAIN.decode(auth(fields))[1:] == joins

    @pytest.mark.parametrize(
        "fields", [{"roomid": -1}, {"roomid": 1.5}, {"roomid": [1]}, [], 7, None]
    )
    def test_what_makes_no_sense_closes(self, fields: Any) -> None:
        with pytest.raises(BadCommand) as bad:
            PLAIN.decode(auth(fields))
        assert bad.value.closes is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("key", [5, True, ["x"], {"a": 1}])
    def test_a_key_that_is_no_text_is_one_that_is_not_valid(self, key: Any) -> None:
        [connect] = PLAIN.decode(auth({"key": key}))
        assert isinstance(connect, Connect)
        assert connect.token

    def test_one_is_let_in_by_a_packet_of_its_own(self) -> None:
        event = Welcome("c", "u", "n", "guest", 30, ref=9)
        for dialect in ALL:
            written = dialect.event(event)
            assert written == packet(8, b'{"code":0}', 1, 9)
            assert dialect.payload([written]) == written

    def test_or_refused(self) -> None:
        refusal = PLAIN.refusal(CloseCode.BAD_TOKEN, "not valid", 9)
        assert refusal == packet(8, b'{"code":-101}', 1, 9)


class TestCommands:
    @pytest.mark.parametrize("body", [b"", b"{}", b"[object Object]", b"\xff\x00"])
    def test_a_heartbeat_asks_how_many_are_there(self, body: bytes) -> None:
        assert PLAIN.decode(packet(2, body, 1, 4)) == [Beat(ref=4)]

    @given(st.integers(-1, 2**40), st.integers(0, 2**32 - 1))
    def test_it_is_answered_by_twenty_bytes(self, online: int, seq: int) -> None:
        for dialect in ALL:
            written = dialect.event(Counted(ROOM, online, seq))
            assert written is not None
            length, header, version, op, number, told = struct.unpack(">IHHIII", written)
            assert (length, header, version, op, number) == (20, 16, 1, 3, seq)
            assert told == min(max(online, 1), 2**32 - 1)
            assert dialect.payload([written]) == written

    def test_another_room_is_joined_for_those_one_is_in(self) -> None:
        move = Move("live:43", ref="13:6:live://43")
        assert PLAIN.decode(packet(12, b"live://43", 1, 6)) == [move]
        written = PLAIN.answering(b"more", "13:6:live://43")
        assert written == packet(13, b"live://43", 1, 6) + b"more"

    def test_or_none(self) -> None:
        assert PLAIN.decode(packet(12, b"", 1, 6)) == [LeaveAll("13:6:")]

    @pytest.mark.parametrize("op", [14, 16])
    @pytest.mark.parametrize("body", ["1000,1001", "", "a:b:c", "幕"])
    def test_what_is_subscribed_to_is_echoed(self, op: int, body: str) -> None:
        [ping] = PLAIN.decode(packet(op, body.encode(), 1, 6))
        assert isinstance(ping, Ping)
        for dialect in ALL:
            written = dialect.event(Pong(ping.ref))
            assert written == packet(op + 1, body.encode(), 1, 6)

    def test_a_long_echo_is_not_compressed(self) -> None:
        [ping] = PLAIN.decode(packet(14, b"1000," * 800))
        assert isinstance(ping, Ping)
        written = BROTLI.event(Pong(ping.ref))
        assert written is not None
        assert BROTLI.payload([written]) == written

    @pytest.mark.parametrize("op", [0, 1, 3, 4, 5, 6, 8, 9, 13, 15, 17, 18, 2**32 - 1])
    def test_any_other_is_none(self, op: int) -> None:
        [found] = PLAIN.decode(packet(op, b""))
        assert isinstance(found, Invalid)

    @pytest.mark.parametrize("op", [5, 12, 14])
    def test_what_is_no_text_closes(self, op: int) -> None:
        with pytest.raises(BadCommand) as bad:
            PLAIN.decode(packet(op, b"\xff"))
        assert bad.value.closes is CloseCode.INVALID_PAYLOAD


class TestPayloads:
    @pytest.mark.parametrize("count", [1, 2, 40])
    def test_whatever_is_asked_for_it_is_the_same_packets(self, count: int) -> None:
        plain = PLAIN.event(lines(count))
        assert plain is not None
        for version, dialect in zip((0, 2, 3), ALL, strict=True):
            written = dialect.event(lines(count))
            assert written is not None
            payload = dialect.payload([written])
            assert struct.unpack_from(">IHHII", payload)[2] == version
            assert unpacked(payload) == plain
            assert dialect is PLAIN or len(payload) < len(plain)

    def test_what_is_small_stays_plain(self) -> None:
        written = ZLIB.event(Online(ROOM, 5))
        assert written is not None
        assert ZLIB.payload([written[: PACK_FROM - 1]]) == written[: PACK_FROM - 1]

    def test_long_ones_are_cut_between_packets(self) -> None:
        whole = PLAIN.event(lines(100))
        assert whole is not None
        pieces = PLAIN.pieces(whole, 5000)
        assert b"".join(pieces) == whole
        assert all(len(piece) <= 5000 for piece in pieces)
        assert all(len(one) + len(other) > 5000 for one, other in pairwise(pieces))

    def test_who_joins_is_sent_no_history(self) -> None:
        event = Joined(ROOM, "k", 5, 17, False, [Message(uid="u", text="x", ts=1)])
        joined = BROTLI.joined(event, None)
        assert joined is not None
        assert b"DANMU_MSG" not in joined
        assert BROTLI.around(event, Since("k", 1), 3, 0) == (joined, b"")
        said = Msg(ROOM, 1, "k-1", "u", "n", "x", 1, "scroll", 25, 1)
        assert BROTLI.place(Message(), said) == b""

    def test_the_close_says_when_to_come_back(self) -> None:
        assert PLAIN.farewell(Bye("restart", 1.0)) == b""
        assert PLAIN.missed is Missed.IGNORE


@given(
    st.binary(max_size=60) | st.builds(packet, st.sampled_from([2, 7, 12, 14, 16, 99]), st.binary())
)
def test_any_bytes_are_commands_or_close_the_connection(payload: bytes) -> None:
    try:
        found = PLAIN.decode(payload)
    except BadCommand as bad:
        assert bad.closes is not None
    else:
        assert found
        assert parse(payload)[0] != 7 or isinstance(found[0], Connect)
