"""Both dialects against each other, and against the plain packages other people's clients use.

Invariant: whatever bytes arrive, decode returns commands or raises BadCommand, nothing else.
"""

import json
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.wire.commands import (
    Auth,
    Command,
    Join,
    Leave,
    Ping,
    Send,
    Since,
)
from chat.wire.dialects.dialect import BadCommand, Dialect
from chat.wire.dialects.native import JSON, MAX_DETAIL, MSGPACK
from chat.wire.foreign import Asked
from chat.wire.schema import (
    Authed,
    Bye,
    Error,
    ErrorCode,
    Joined,
    Message,
    Msgs,
    Notice,
    ServerEvent,
)
from shard.handshake import Request

BOTH: tuple[Dialect, ...] = (JSON, MSGPACK)


def packed(value: Any) -> bytes:
    payload: bytes = msgpack.packb(value)
    return payload


def encoded(fields: Any) -> list[tuple[Dialect, bytes]]:
    return [(JSON, json.dumps(fields).encode()), (MSGPACK, packed(fields))]


def verdict(dialect: Dialect, payload: bytes) -> Asked | tuple[ErrorCode, Any]:
    """A command, or what is answered."""
    try:
        [command] = dialect.decode(payload)
        return command
    except BadCommand as bad:
        assert str(bad)
        return bad.code, bad.ref


def both(fields: Any) -> Asked | tuple[ErrorCode, Any]:
    """What both dialects say of the same object, which has to be the same."""
    said = verdict(JSON, json.dumps(fields).encode())
    assert verdict(MSGPACK, packed(fields)) == said
    return said


# Surrogates cannot be packed; everything else that both encodings can say.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
SINCE = st.fixed_dictionaries({}, optional={"epoch": TEXT | VALUES, "seq": VALUES, "ts": VALUES})
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "t": st.sampled_from(["join", "leave", "send", "auth", "ping", "nope", ""]) | VALUES,
        "room": TEXT | VALUES,
        "token": TEXT | VALUES,
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
        for dialect in BOTH:
            verdict(dialect, payload)

    @given(st.text(alphabet='{}[]",:\\ud80ftnrsejoinp 0123456789.-+E', max_size=80))
    def test_so_is_what_looks_like_json(self, text: str) -> None:
        verdict(JSON, text.encode())

    @given(LIKELY, st.integers(0, 60), st.binary(max_size=3))
    def test_so_is_a_command_with_broken_bytes(self, fields: Any, at: int, junk: bytes) -> None:
        for dialect, payload in encoded(fields):
            verdict(dialect, payload[:at] + junk + payload[at + len(junk) :])
            verdict(dialect, payload[:at])

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
        assert both({"t": "auth", "token": "x.y.z", "ref": 2}) == Auth("x.y.z", 2)
        send = {"t": "send", "room": "a", "text": "hi", "color": 1, "mode": "top", "size": 12}
        assert both(send | {"id": "x", "ref": "r"}) == Send("a", "hi", 1, "top", 12, "x", "r")

    def test_an_unknown_one_is_named_and_the_known_ones_are(self) -> None:
        shout = {"t": "shout", "ref": 9}
        for dialect, payload in encoded(shout):
            with pytest.raises(
                BadCommand,
                match=r"'shout'.*auth, history, join, leave, like, moderate, ping, report, send",
            ) as caught:
                dialect.decode(payload)
            assert (caught.value.code, caught.value.ref) == (ErrorCode.UNKNOWN_COMMAND, 9)

    @pytest.mark.parametrize(
        "fields",
        [None, 5, "ping", [], ["t", "ping"], {}, {"room": "a"}, {"t": None}, {"t": 5},
         {"t": ["ping"]}, {"t": "join"}, {"t": "send", "room": "a"}, {"t": "join", "room": 5},
         {"t": "auth"}, {"t": "auth", "token": None},
         {"t": "send", "room": "a", "text": "x", "color": 1.5}],
    )  # fmt: skip
    def test_what_is_no_command_is_a_bad_request(self, fields: Any) -> None:
        assert both(fields) == (ErrorCode.BAD_REQUEST, UNSET)

    def test_it_is_said_where_and_what(self) -> None:
        for dialect, payload in encoded({"t": "send", "room": "a", "text": 5}):
            with pytest.raises(BadCommand, match=r"Expected `str`, got `int` - at `\$\.text`"):
                dialect.decode(payload)

    def test_what_was_sent_is_quoted_no_further_than_it_helps(self) -> None:
        long = "x" * 9_000
        for fields in ({"t": long}, {"t": "send", "room": "a", "text": "", "mode": long}):
            for dialect, payload in encoded(fields):
                with pytest.raises(BadCommand) as caught:
                    dialect.decode(payload)
                assert len(str(caught.value)) <= MAX_DETAIL


class TestWhatTypedClientsCannotHelp:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ({"color": 255.0, "size": 25.0}, {"color": 255, "size": 25}),
            ({"color": 1e3}, {"color": 1000}),
            ({"ref": 1.0}, {"ref": 1}),
            ({"color": None, "mode": None, "size": None, "id": None, "ref": None}, {}),
        ],
    )
    def test_whole_floats_are_integers_and_null_is_absent(
        self, written: dict[str, Any], meant: dict[str, Any]
    ) -> None:
        send = {"t": "send", "room": "a", "text": "hi"}
        assert both(send | written) == msgspec.convert(send | meant, Command)

    def test_also_in_a_position(self) -> None:
        join = {"t": "join", "room": "a", "since": {"epoch": "k", "seq": 0.0}}
        assert both(join) == Join("a", Since("k", 0))
        timed = {"epoch": "k", "seq": 1, "ts": 1764000000123.0}
        assert both({"t": "join", "room": "a", "since": timed}) == (
            Join("a", Since("k", 1, 1764000000123))
        )
        assert both({"t": "join", "room": "a", "since": timed | {"ts": None}}) == (
            Join("a", Since("k", 1))
        )
        assert both({"t": "join", "room": "a", "since": None}) == Join("a")

    @pytest.mark.parametrize("value", [1.5, -0.5, float("inf"), True, "255"])
    def test_other_numbers_are_not(self, value: Any) -> None:
        command = {"t": "send", "room": "a", "text": "hi", "color": value, "ref": 7}
        assert both(command) == (ErrorCode.BAD_REQUEST, 7)

    def test_what_must_be_there_may_not_be_null(self) -> None:
        for name in ("room", "text", "t"):
            command = {"t": "send", "room": "a", "text": "hi", "ref": 7} | {name: None}
            assert both(command) == (ErrorCode.BAD_REQUEST, 7)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [("a\\ud83d", "a\ufffd"), ("\\ude00b", "\ufffdb"), ("\\ud83d\\ude00", "😀")],
    )
    def test_half_a_character_is_replaced_and_the_ref_comes_back(
        self, written: str, meant: str
    ) -> None:
        payload = f'{{"t":"send","room":"a","text":"{written}","ref":1}}'.encode()
        assert JSON.decode(payload) == [Send("a", meant, ref=1)]
        broken = f'{{"t":"send","room":"a","text":"{written}","size":5,"ref":1}}'.encode()
        assert verdict(JSON, broken) == (ErrorCode.BAD_REQUEST, 1)
        strange = f'{{"t":"ping","{written}":{{"{written}":1}},"ref":1}}'.encode()
        assert JSON.decode(strange) == [Ping(1)]
        since = f'{{"epoch":"{written}","seq":3,"{written}":1}}'
        join = f'{{"t":"join","room":"a","since":{since},"ref":1}}'.encode()
        assert JSON.decode(join) == [Join("a", Since(meant, 3), 1)]


class TestHostileJson:
    DEEP = b"[" * 100_000 + b"]" * 100_000

    @pytest.mark.parametrize(
        ("payload", "ref"),
        [
            (DEEP, UNSET),
            (b'{"x":' + DEEP + b',"t":"ping","ref":1}', UNSET),
            (b'{"t":"send","room":1,"ref":7,"x":' + DEEP + b"}", UNSET),
            (b'{"t":' + DEEP + b',"ref":7}', UNSET),
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
        assert said == [Send("a", "\x00😀幕")]


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
        assert verdict(MSGPACK, payload) == (ErrorCode.BAD_REQUEST, ref)


MSG = Message(uid="u", name="n", text="幕😀\x00\u2028", ts=1764000000123)
EVENTS: list[ServerEvent] = [
    Msgs("幕", "k", 2, 2, [MSG]),
    Joined("a", "k", 2, 3, True, [MSG, MSG], 1),
    Error(ErrorCode.RATE_LIMITED, "slow", "r", 0.25),
    Notice("1-0", "all", "", "hi", 1, 2, "gift"),
    Authed("u7", "阿花", "user", 1764003600, 4),
    Bye("restart", 3.75),
]


class TestEvents:
    @pytest.mark.parametrize("count", [0, 1, 5, 15, 16, 17, 300, 65_535, 65_536, 70_000])
    def test_a_batch_is_an_array_for_the_plain_packages(self, count: int) -> None:
        turn = [i % len(EVENTS) for i in range(count)]
        batches = []
        for dialect in BOTH:
            encoded = [one for event in EVENTS if (one := dialect.event(event)) is not None]
            batches.append(dialect.payload([encoded[i] for i in turn]))
        events = json.loads(batches[0])
        assert events == msgpack.unpackb(batches[1])
        tags = [event.__struct_config__.tag for event in EVENTS]
        assert [event["t"] for event in events] == [tags[i] for i in turn]

    def test_the_header_is_the_shortest_there_is(self) -> None:
        for count in (0, 15, 16, 65_535, 65_536):
            assert MSGPACK.payload([b"\xc0"] * count) == packed([None] * count)

    def test_text_is_utf8_not_escapes(self) -> None:
        assert "幕".encode() in JSON.event(EVENTS[0])
        assert "幕".encode() in MSGPACK.event(EVENTS[0])

    def test_a_farewell_is_a_payload_of_one_event(self) -> None:
        bye = {"t": "bye", "reason": "restart", "reconnect_in": 3.75}
        assert json.loads(JSON.farewell(Bye("restart", 3.75))) == [bye]
        assert msgpack.unpackb(MSGPACK.farewell(Bye("restart", 3.75))) == [bye]


@pytest.mark.parametrize("dialect", BOTH)
def test_rooms_in_the_address_are_joined_once_each(dialect: Dialect) -> None:
    request = Request("/ws", {"room": ["a", "b", "a"], "token": ["x"]}, {})
    assert dialect.opening(request) == [Join("a"), Join("b")]
    assert dialect.opening(Request("/ws", {}, {})) == []


@pytest.mark.parametrize("dialect", BOTH)
def test_a_position_is_the_clients_to_keep(dialect: Dialect) -> None:
    assert dialect.payload([b"\xc0"], "e-1") == dialect.payload([b"\xc0"])
    assert dialect.greeting() == b""
    assert not any((dialect.introduces, dialect.watches, dialect.places))


def test_their_names_are_the_subprotocols() -> None:
    assert [(dialect.name, dialect.binary) for dialect in BOTH] == [
        ("danmaku.json", False),
        ("danmaku.msgpack", True),
    ]


@pytest.mark.parametrize("dialect", [JSON, MSGPACK])
@pytest.mark.parametrize("ref", [0, 2**53, -1, "", 'a"b', "é"])
def test_an_answer_written_for_many_is_given_a_ref(dialect: Dialect, ref: int | str) -> None:
    shared = dialect.event(Joined("r", "e", 2, 1, True, []))
    assert shared is not None
    whole = dialect.event(Joined("r", "e", 2, 1, True, [], ref))
    assert dialect.answering(shared, ref) == whole
