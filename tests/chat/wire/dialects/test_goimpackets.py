"""goim's packets: what goes out can be read, and of what comes in every length is checked."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.wire.dialects.dialect import BadCommand
from chat.wire.dialects.goimpackets import (
    HEADER_BYTES,
    MAX_BODY,
    RoomNames,
    fields_of,
    groups,
    packet,
    parse,
    text_of,
)
from shard.closecodes import CloseCode

u32 = st.integers(0, 2**32 - 1)
bodies = st.binary(max_size=200)


def closed_with(payload: bytes) -> CloseCode | None:
    with pytest.raises(BadCommand) as bad:
        parse(payload)
    return bad.value.closes


class TestPackets:
    def test_one_is_these_bytes(self) -> None:
        made = packet(5, b"{}", version=3, seq=7)
        assert made.hex() == "00000012001000030000000500000007" + b"{}".hex()

    @given(u32, bodies, st.integers(0, 0xFFFF), u32)
    def test_what_is_written_is_read(self, op: int, body: bytes, version: int, seq: int) -> None:
        assert parse(packet(op, body, version, seq)) == (op, seq, body)

    @given(st.binary(max_size=64))
    def test_any_bytes_are_a_packet_or_close_the_connection(self, payload: bytes) -> None:
        try:
            op, seq, body = parse(payload)
        except BadCommand as bad:
            assert bad.closes is not None
        else:
            header = struct.pack(">IHH", len(payload), 16, struct.unpack_from(">H", payload, 6)[0])
            assert payload == header + struct.pack(">II", op, seq) + body

    @given(u32.filter(lambda length: length != 20))
    def test_a_length_is_that_of_what_is_there(self, length: int) -> None:
        payload = struct.pack(">IHHII", length, 16, 1, 2, 1) + b"body"
        assert closed_with(payload) is CloseCode.PROTOCOL_ERROR

    @given(st.integers(0, 0xFFFF).filter(lambda length: length != 16))
    def test_and_so_is_that_of_a_header(self, length: int) -> None:
        payload = struct.pack(">IHHII", 20, length, 1, 2, 1) + b"body"
        assert closed_with(payload) is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("size", range(HEADER_BYTES))
    def test_half_a_header_is_none(self, size: int) -> None:
        assert closed_with(packet(2, b"")[:size]) is CloseCode.PROTOCOL_ERROR

    def test_two_are_not_one(self) -> None:
        assert closed_with(packet(2, b"") * 2) is CloseCode.PROTOCOL_ERROR

    def test_a_body_has_a_bound(self) -> None:
        assert parse(packet(12, b"x" * MAX_BODY))[2] == b"x" * MAX_BODY
        assert closed_with(packet(12, b"x" * (MAX_BODY + 1))) is CloseCode.TOO_BIG


class TestBodies:
    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"1", b"null", b'{"a":', b"\xff", b"[" * 4000, b'"' + b"\xed\xa0\x80"]
    )
    def test_what_is_no_object_closes(self, body: bytes) -> None:
        with pytest.raises(BadCommand) as bad:
            fields_of(body)
        assert bad.value.closes is CloseCode.PROTOCOL_ERROR

    def test_what_is_no_text_closes(self) -> None:
        with pytest.raises(BadCommand) as bad:
            text_of(b"live://\xff")
        assert bad.value.closes is CloseCode.INVALID_PAYLOAD
        assert text_of("幕".encode()) == "幕"


class TestGroups:
    @given(st.lists(bodies, min_size=1, max_size=30), st.integers(1, 1000))
    def test_are_all_packets_in_order_each_whole(self, many: list[bytes], most: int) -> None:
        packets = [packet(5, body) for body in many]
        found = list(groups(b"".join(packets), most))
        assert b"".join(found) == b"".join(packets)
        ends = {0}
        for one in packets:
            ends.add(max(ends) + len(one))
        at = 0
        for group in found:
            at += len(group)
            assert at in ends
            assert len(group) <= most or group in packets


class TestRoomNames:
    @pytest.mark.parametrize(
        ("template", "asked", "room", "told"),
        [
            ("live:{}", 42, "live:42", 42),
            ("live:{}", 0, "live:0", 0),
            ("live:{}", 42.0, "live:42", 42),
            ("live:{}", "42", "live:42", 42),
            ("live:{}", "007", "live:7", 7),
            ("live:{}", "live://42", "live:42", 42),
            ("live:{}", "chat://lobby", "chat:lobby", "chat://lobby"),
            ("live:{}", "lobby", "lobby", "lobby"),
            ("{}", 42, "42", 42),
            ("a.{}-b", 42, "a.42-b", 42),
            ("a.{}-b", "live://42", "live:42", "live://42"),
        ],
    )
    def test_a_room_by_what_it_is_called(
        self, template: str, asked: object, room: str, told: object
    ) -> None:
        names = RoomNames(template)
        assert names.room(asked) == room
        assert names.name(room) == told

    @given(st.integers(0, 10**19 - 1))
    def test_a_number_stays_that_number(self, number: int) -> None:
        names = RoomNames("live:{}")
        assert names.name(names.room(number)) == number

    @given(st.from_regex(r"[\w:.-]{1,64}", fullmatch=True).filter(lambda name: not name.isdigit()))
    def test_whatever_a_room_is_called_leads_to_it(self, room: str) -> None:
        """But for one that is called like a number."""
        names = RoomNames("live:{}")
        assert names.room(names.name(room)) == room

    @pytest.mark.parametrize("asked", [None, ""])
    def test_none_is_none(self, asked: object) -> None:
        assert RoomNames("live:{}").room(asked) == ""

    @pytest.mark.parametrize("asked", [-1, 1.5, True, [], {}])
    def test_what_is_no_name_closes(self, asked: object) -> None:
        with pytest.raises(BadCommand) as bad:
            RoomNames("live:{}").room(asked)
        assert bad.value.closes is CloseCode.PROTOCOL_ERROR
