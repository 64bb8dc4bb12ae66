"""The Centrifugal protocol in Protobuf: what its clients' own package reads and writes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from chat.wire.batch import batches, shorten
from chat.wire.commands import Since
from chat.wire.dialects.centrifugal import CentrifugalJson
from chat.wire.dialects.centrifugal_protobuf import PING, CentrifugalProtobuf, lengths, varint
from chat.wire.dialects.dialect import BadCommand
from chat.wire.foreign import Counted, Told
from chat.wire.schema import (
    Ack,
    Delete,
    Error,
    ErrorCode,
    Gap,
    Joined,
    Left,
    Msg,
    Notice,
    Removed,
    Welcome,
)
from shard.closecodes import CloseCode

PB: Final[Any] = client_pb2
PROTOBUF = CentrifugalProtobuf(lambda: 0.0)
JSON = CentrifugalJson(PROTOBUF, lambda: 0.0)
BYTES: Final = {"data"}
numbers = st.integers(0, 2**64 - 1)
texts = st.text(min_size=1, max_size=40)


def read(payload: bytes) -> list[dict[str, Any]]:
    """Replies as the clients' package reads them, their data as JSON's clients get it."""
    found = []
    for one in lengths(payload):
        reply = PB.Reply()
        reply.ParseFromString(one)
        found.append(plain(reply))
    return found


def plain(message: Any) -> dict[str, Any]:
    """A message as JSON has it."""
    made: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None and field.is_repeated:
            made[field.name] = [plain(one) for one in value]
        elif field.message_type is not None:
            made[field.name] = plain(value)
        else:
            made[field.name] = json.loads(value) if field.name in BYTES else value
    return made


def in_json(payload: bytes) -> list[dict[str, Any]]:
    return [without_defaults(without_epochs(json.loads(line))) for line in payload.split(b"\n")]


def without_defaults(told: dict[str, Any]) -> dict[str, Any]:
    """What Protobuf writes of it: neither zeros nor empty texts and lists."""
    kept: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, dict) and name not in BYTES:
            kept[name] = without_defaults(value)
        elif name in BYTES or value not in (0, "", []):
            kept[name] = value
    return kept


def without_epochs(told: dict[str, Any]) -> dict[str, Any]:
    """The clients' package may not know of a publication's epoch yet."""
    told.get("push", {}).get("pub", {}).pop("epoch", None)
    return told


def frame(*commands: dict[str, Any]) -> bytes:
    written = [ParseDict(command, PB.Command()).SerializeToString() for command in commands]
    return b"".join(varint(len(one)) + one for one in written)


def message(seq: int, text: str, uid: str) -> Msg:
    return Msg("房", seq, f"e-{seq}", uid, uid, text, 255, "top", 25, 1764000000123)


EVENTS: st.SearchStrategy[Told] = st.one_of(
    st.builds(Error, st.sampled_from(ErrorCode), texts, st.integers(1, 2**32 - 1)),
    st.builds(Ack, texts, numbers, texts, numbers, st.integers(1, 2**32 - 1)),
    st.builds(Counted, texts, st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1)),
    st.builds(Gap, texts, texts, st.integers(0, 2**53), st.just(0)),
    st.builds(Left, texts, reason=texts),
    st.builds(Notice, texts, texts, texts, texts, st.integers(0, 255), st.integers(0, 2**53)),
    st.builds(Delete, texts, st.integers(1, 2**53), st.integers(1, 2**53), st.integers(1, 2**53)),
    st.builds(
        Welcome, texts, texts, texts, texts, st.integers(1, 600), ref=st.just(1), expires=st.just(0)
    ),
    st.builds(
        Joined, texts, texts, st.integers(0, 2**53), st.integers(0, 9), st.just(False), st.just([])
    ),
    st.lists(st.tuples(texts, texts), min_size=1, max_size=4).map(
        lambda said: next(batches("房", "e", [message(5 + i, *one) for i, one in enumerate(said)]))
    ),
)


@given(EVENTS)
def test_every_event_says_what_it_says_in_json(event: Told) -> None:
    written, told = PROTOBUF.event(event), JSON.event(event)
    assert written is not None
    assert told is not None
    assert [without_epochs(one) for one in read(PROTOBUF.payload([written]))] == in_json(told)


COMMANDS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda token: {"connect": {"token": token}}, texts),
    st.builds(
        lambda channel, token, recover, epoch, offset: {
            "subscribe": {
                "channel": channel,
                "token": token,
                "recover": recover,
                "epoch": epoch,
                "offset": offset,
            }
        },
        *(texts, texts, st.booleans(), texts, numbers),
    ),
    st.builds(
        lambda channel, limit, reverse, offset: {
            "history": {
                "channel": channel,
                "limit": limit,
                "reverse": reverse,
                "since": {"offset": offset, "epoch": "e"},
            }
        },
        *(texts, st.integers(-(2**31), 2**31 - 1), st.booleans(), numbers),
    ),
    st.builds(
        lambda method, channel: {method: {"channel": channel}},
        *(st.sampled_from(["unsubscribe", "presence", "presence_stats"]), texts),
    ),
    st.sampled_from([{"ping": {}}, {"rpc": {"method": "x"}}, {"send": {}}]),
    st.builds(lambda channel: {"sub_refresh": {"channel": channel, "token": "t"}}, texts),
)


@given(st.lists(st.tuples(COMMANDS, st.integers(1, 2**32 - 1)), min_size=1, max_size=5))
def test_every_command_asks_for_what_it_asks_for_in_json(
    said: list[tuple[dict[str, Any], int]],
) -> None:
    commands = [{"id": ref, **command} for command, ref in said]
    in_lines = "\n".join(map(json.dumps, commands)).encode()
    assert PROTOBUF.decode(frame(*commands)) == JSON.decode(in_lines)


def test_data_is_json_in_bytes() -> None:
    command = PB.Command(id=1, publish=PB.PublishRequest(channel="a", data=b'{"text":"hi"}'))
    written = command.SerializeToString()
    line = b'{"id":1,"publish":{"channel":"a","data":{"text":"hi"}}}'
    assert PROTOBUF.decode(varint(len(written)) + written) == JSON.decode(line)


class TestHostile:
    GOOD: Final = frame({"id": 1, "connect": {}})

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"\x05",
            b"\x80",
            b"\x80\x80\x80\x80\x80\x00",
            b"\xff\xff\xff\xff\x0f",
            GOOD + b"\x02\x08",
            GOOD[:-1],
            b"\x02\x22\x09",  # a connect longer than its command
            b"\x01\x0f",  # a type of field that there is not
            frame({"id": 1}),
            frame({"ping": {}}),
            b"\x05\x08\x01\x2a\x01\xff"[:6],
            varint(8) + b"\x08\x01\x2a\x04\x0a\x02\xff\xfe",  # a channel that is no UTF-8
        ],
    )
    def test_what_is_no_command_ends_the_connection(self, payload: bytes) -> None:
        with pytest.raises(BadCommand) as bad:
            PROTOBUF.decode(payload)
        assert bad.value.closes is CloseCode.PROTOCOL_ERROR
        assert str(bad.value)

    @given(st.binary(max_size=60))
    def test_whatever_comes_is_read_or_refused(self, payload: bytes) -> None:
        try:
            found: Sequence[Any] = PROTOBUF.decode(payload)
        except BadCommand as bad:
            assert bad.closes is CloseCode.PROTOCOL_ERROR
        else:
            assert all(hasattr(one, "ref") for one in found)

    def test_a_field_nobody_knows_is_passed_over(self) -> None:
        written = PB.Command(id=1, ping=PB.PingRequest()).SerializeToString() + b"\xfa\x01\x01x"
        assert PROTOBUF.decode(varint(len(written)) + written) == PROTOBUF.decode(
            frame({"id": 1, "ping": {}})
        )


class TestAnswers:
    JOINED = Joined("房", "e", 2**40, 5, True, [], state={"slow_s": 0})

    @pytest.mark.parametrize("count", [0, 1, 3, 40])
    @pytest.mark.parametrize("ref", [1, 300, 2**32 - 1])
    def test_a_history_in_parts_is_as_it_is_whole(self, count: int, ref: int) -> None:
        said = [message(seq, "x" * seq, "u") for seq in range(7, 7 + count)]
        places = [structs.replace(one, priority=7, until=9) for one in said]
        since = Since("e", 6)
        body = b"".join(PROTOBUF.place(shorten([one], None)[0], one) for one in places)
        event = structs.replace(self.JOINED, ref=ref)
        before, behind = PROTOBUF.around(event, since, count, len(body))
        whole = PROTOBUF.joined(structs.replace(event, history=shorten(places, None)), since)
        assert read(before + body + behind) == read(whole)

    @pytest.mark.parametrize("ref", [1, 300, 2**32 - 1])
    def test_one_written_for_many_is_given_an_id(self, ref: int) -> None:
        shared = PROTOBUF.joined(self.JOINED, None)
        assert read(PROTOBUF.answering(shared, ref)) == [{"id": ref, **read(shared)[0]}]

    def test_what_was_taken_back_has_no_place(self) -> None:
        [short] = shorten([Removed("a", 3)], None)
        assert PROTOBUF.place(short, Removed("a", 3)) == b""


@given(numbers)
def test_a_number_is_written_as_the_package_does(number: int) -> None:
    written = PB.StreamPosition(offset=number).SerializeToString()
    assert written == (b"\x08" + varint(number) if number else b"")


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_lengths_are_read_as_they_are_written(parts: list[bytes]) -> None:
    payload = b"".join(varint(len(one)) + one for one in parts)
    found: Iterator[bytes] = lengths(payload)
    assert list(found) == parts


def test_a_ping_is_an_empty_reply() -> None:
    assert PING == b"\x82\x01\x00"
    assert MessageToDict(PB.Reply.FromString(b"")) == {}
