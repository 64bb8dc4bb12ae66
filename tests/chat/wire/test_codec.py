"""Both codecs against each other, and against the plain packages other people's clients use.

Invariant: whatever bytes arrive, decode returns a command or raises BadCommand, nothing else.
"""

import json
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.wire.codec import CODECS, MAX_DETAIL, BadCommand, Codec, JsonCodec, MsgpackCodec, frame
from chat.wire.schema import (
    Bye,
    Command,
    Error,
    ErrorCode,
    Join,
    Joined,
    Leave,
    Msg,
    Notice,
    Ping,
    Send,
    ServerEvent,
    Since,
    State,
)

JSON, PACK = JsonCodec(), MsgpackCodec()


def packed(value: Any) -> bytes:
    payload: bytes = msgpack.packb(value)
    return payload


def verdict(codec: Codec, payload: bytes) -> Command | tuple[ErrorCode, Any]:
    """A command, or what is answered."""
    try:
        return codec.decode(payload)
    except BadCommand as bad:
        assert str(bad)
        return bad.code, bad.ref


def both(fields: Any) -> Command | tuple[ErrorCode, Any]:
    """What both codecs say of the same object, which has to be the same."""
    said = verdict(JSON, json.dumps(fields).encode())
    assert verdict(PACK, packed(fields)) == said
    return said


# Surrogates cannot be packed; everything else that both encodings can say.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
SINCE = st.fixed_dictionaries({}, optional={"epoch": TEXT | VALUES, "seq": VALUES})
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "t": st.sampled_from(["join", "leave", "send", "ping", "nope", ""]) | VALUES,
        "room": TEXT | VALUES,
        "text": TEXT | VALUES,
        "color": st.integers(-1, 2**24) | VALUES,
        "mode": st.sampled_from(["scroll", "top", "under"]) | VALUES,
        "size": st.integers(11, 65) | VALUES,
        "id": TEXT | VALUES,
        "since": SINCE | VALUES,
        "ref": INTEGERS | TEXT | VALUES,
        "more": VALUES,
    },
)


class TestInvariant:
    @given(st.binary(max_size=200))
    @example(b"")
    @example(b"\xff" * 9)
    def test_any_bytes_are_a_command_or_a_bad_one(self, payload: bytes) -> None:
        for codec in CODECS:
            verdict(codec, payload)

    @given(st.text(alphabet='{}[]",:\\ud80ftnrsejoinp 0123456789.-+E', max_size=80))
    def test_so_is_what_looks_like_json(self, text: str) -> None:
        verdict(JSON, text.encode())

    @given(LIKELY, st.integers(0, 60), st.binary(max_size=3))
    def test_so_is_a_command_with_broken_bytes(self, fields: Any, at: int, junk: bytes) -> None:
        for codec, payload in ((JSON, json.dumps(fields).encode()), (PACK, packed(fields))):
            verdict(codec, payload[:at] + junk + payload[at + len(junk) :])
            verdict(codec, payload[:at])

    @given(LIKELY | VALUES)
    def test_both_say_the_same_of_the_same_object(self, fields: Any) -> None:
        both(fields)

    @given(LIKELY)
    def test_a_ref_that_can_be_read_comes_back(self, fields: dict[str, Any]) -> None:
        said = both(fields | {"ref": 77})
        assert (said[1] if isinstance(said, tuple) else said.ref) == 77

    @given(TEXT.filter(lambda text: len(text) <= 64) | st.integers(-(2**53), 2**53))
    def test_whatever_it_is(self, ref: Any) -> None:
        assert both({"t": "ping", "ref": ref}) == Ping(ref)
        assert both({"t": "nope", "ref": ref}) == (ErrorCode.UNKNOWN_COMMAND, ref)


class TestCommands:
    def test_each_one(self) -> None:
        join = {"t": "join", "room": "a", "since": {"epoch": "k", "seq": 3}, "ref": 1}
        assert both(join) == Join("a", Since("k", 3), 1)
        assert both({"t": "leave", "room": "幕"}) == Leave("幕")
        assert both({"t": "ping"}) == Ping()
        send = {"t": "send", "room": "a", "text": "hi", "color": 1, "mode": "top", "size": 12}
        assert both(send | {"id": "x", "ref": "r"}) == Send("a", "hi", 1, "top", 12, "x", "r")

    def test_an_unknown_one_is_named_and_the_known_ones_are(self) -> None:
        shout = {"t": "shout", "ref": 9}
        for codec, payload in ((JSON, json.dumps(shout).encode()), (PACK, packed(shout))):
            with pytest.raises(BadCommand, match=r"'shout'.*join, leave, ping, send") as caught:
                codec.decode(payload)
            assert (caught.value.code, caught.value.ref) == (ErrorCode.UNKNOWN_COMMAND, 9)

    @pytest.mark.parametrize(
        "fields",
        [None, 5, "ping", [], ["t", "ping"], {}, {"room": "a"}, {"t": None}, {"t": 5},
         {"t": ["ping"]}, {"t": "join"}, {"t": "send", "room": "a"}, {"t": "join", "room": 5},
         {"t": "send", "room": "a", "text": "x", "color": 1.0}],
    )  # fmt: skip
    def test_what_is_no_command_is_a_bad_request(self, fields: Any) -> None:
        assert both(fields) == (ErrorCode.BAD_REQUEST, UNSET)

    def test_it_is_said_where_and_what(self) -> None:
        for codec, payload in (
            (JSON, b'{"t":"send","room":"a","text":5}'),
            (PACK, packed({"t": "send", "room": "a", "text": 5})),
        ):
            with pytest.raises(BadCommand, match=r"Expected `str`, got `int` - at `\$\.text`"):
                codec.decode(payload)

    def test_what_was_sent_is_quoted_no_further_than_it_helps(self) -> None:
        long = "x" * 9_000
        for fields in ({"t": long}, {"t": "send", "room": "a", "text": "", "mode": long}):
            for codec, payload in ((JSON, json.dumps(fields).encode()), (PACK, packed(fields))):
                with pytest.raises(BadCommand) as caught:
                    codec.decode(payload)
                assert len(str(caught.value)) <= MAX_DETAIL


class TestHostileJson:
    DEEP = b"[" * 100_000 + b"]" * 100_000

    @pytest.mark.parametrize(
        ("payload", "ref"),
        [
            (DEEP, UNSET),
            (b'{"x":' + DEEP + b',"t":"ping","ref":1}', UNSET),
            (b'{"t":"send","room":1,"ref":7,"x":' + DEEP + b"}", UNSET),
            (b'{"t":' + DEEP + b',"ref":7}', UNSET),
            (b'{"t":"send","room":"\\ud800","text":"x","ref":7}', UNSET),
            (b'{"t":"send","room":"a","text":"\xff","ref":7}', UNSET),
            (b'{"t":"ping","ref":' + b"9" * 10_000 + b"}", UNSET),
            (b'{"t":"ping","ref":1e999}', UNSET),
            (b'{"t":"ping","ref":NaN}', UNSET),
            (b'{"t":"send","room":"a","text":"x","color":1e400,"ref":7}', 7),
            (b'{"t":"send","room":"a","text":"x","color":' + b"9" * 99 + b',"ref":7}', 7),
            (b'{"t":"ping"}{"t":"ping"}', UNSET),
            (b'\xef\xbb\xbf{"t":"ping"}', UNSET),
            ('{"t":"ping"}'.encode("utf-16"), UNSET),
        ],
    )  # fmt: skip
    def test_is_a_bad_request(self, payload: bytes, ref: Any) -> None:
        assert verdict(JSON, payload) == (ErrorCode.BAD_REQUEST, ref)

    def test_an_unreadable_ref_does_not_hide_an_unknown_command(self) -> None:
        assert verdict(JSON, b'{"t":"shout","ref":[1]}') == (ErrorCode.UNKNOWN_COMMAND, UNSET)

    def test_escapes_of_anything_but_lone_surrogates_are_text(self) -> None:
        said = JSON.decode(b'{"t":"send","room":"a","text":"\\u0000\\ud83d\\ude00\\u5e55"}')
        assert said == Send("a", "\x00😀幕")


class TestHostileMsgpack:
    @pytest.mark.parametrize(
        ("payload", "ref"),
        [
            (b"\x91" * 100_000 + b"\xc0", UNSET),
            (b"\xdd\xff\xff\xff\xff", UNSET),  # an array of 4 thousand million
            (b"\xdf\xff\xff\xff\xff\xa1t", UNSET),
            (b"\xc6\xff\xff\xff\xff", UNSET),
            (b"\xc1", UNSET),  # never used
            (b"\x82\xa1t\xa4ping\xa3ref\xa2\xff\xff", UNSET),  # no UTF-8
            (b"\x82\xa1t\xa4ping\xa3ref\xa3\xed\xa0\x80", UNSET),  # a surrogate
            (packed({"t": "ping"}) + b"\xc0", UNSET),
            (packed({1: "ping"}), UNSET),
            (packed({b"t": "ping"}), UNSET),
            (packed({"t": b"ping", "ref": 7}), 7),
            (packed({"t": "ping", "ref": b"7"}), UNSET),
            (packed({"t": "send", "room": "a", "text": b"x", "ref": 7}), 7),
            (packed({"t": "send", "room": "a", "text": msgpack.Timestamp(1), "ref": 7}), 7),
            (packed({"t": "send", "room": "a", "text": msgpack.ExtType(5, b"x"), "ref": 7}), 7),
            (packed({"t": "send", "room": "a", "text": "x", "color": float("nan"), "ref": 7}), 7),
            (packed({"t": "ping", "ref": 2**64 - 1}), UNSET),
        ],
    )  # fmt: skip
    def test_is_a_bad_request(self, payload: bytes, ref: Any) -> None:
        assert verdict(PACK, payload) == (ErrorCode.BAD_REQUEST, ref)


MSG = Msg("幕", 2, "k-2", "u", "n", "😀\x00\u2028", 0xFFFFFF, "scroll", 25, 1764000000123)
EVENTS: list[ServerEvent] = [
    MSG,
    Joined("a", "k", 2, 3, True, [MSG, MSG], State(2.5, True, MSG), 1),
    Error(ErrorCode.RATE_LIMITED, "slow", "r", 0.25),
    Notice("1-0", "all", "", "hi", 1, 2, "gift"),
    Bye("restart", 3.75),
]


class TestEvents:
    @pytest.mark.parametrize("count", [0, 1, 5, 15, 16, 17, 300, 65_535, 65_536, 70_000])
    def test_a_batch_is_an_array_for_the_plain_packages(self, count: int) -> None:
        turn = [i % len(EVENTS) for i in range(count)]
        batches = []
        for codec in CODECS:
            encoded = [codec.one(event) for event in EVENTS]
            batches.append(codec.batch([encoded[i] for i in turn]))
        events = json.loads(batches[0])
        assert events == msgpack.unpackb(batches[1])
        tags = [event.__struct_config__.tag for event in EVENTS]
        assert [event["t"] for event in events] == [tags[i] for i in turn]

    def test_the_header_is_the_shortest_there_is(self) -> None:
        for count in (0, 15, 16, 65_535, 65_536):
            assert PACK.batch([b"\xc0"] * count) == packed([None] * count)

    def test_text_is_utf8_not_escapes(self) -> None:
        assert "幕".encode() in JSON.one(MSG)
        assert "幕".encode() in PACK.one(MSG)

    @pytest.mark.parametrize(("codec", "opcode"), [(JSON, 0x81), (PACK, 0x82)])
    @pytest.mark.parametrize("size", [1, 200, 70_000])
    def test_a_frame_says_whether_it_is_text(self, codec: Codec, opcode: int, size: int) -> None:
        body = codec.batch([codec.one(Bye("x" * size, 1.0))])
        made = frame(codec, [codec.one(Bye("x" * size, 1.0))])
        assert made.endswith(body)
        header = made[: -len(body)]
        assert header[0] == opcode
        if len(body) < 126:
            assert header[1:] == bytes([len(body)])
        elif len(body) < 65_536:
            assert header[1:] == b"\x7e" + struct.pack("!H", len(body))
        else:
            assert header[1:] == b"\x7f" + struct.pack("!Q", len(body))


def test_json_is_what_a_client_gets_that_asks_for_nothing() -> None:
    assert [(codec.name, codec.binary) for codec in CODECS] == [
        ("danmaku.json", False),
        ("danmaku.msgpack", True),
    ]
