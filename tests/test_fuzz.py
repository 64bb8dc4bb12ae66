"""The fuzz targets as seeded loops; and whether their checks can fail at all."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import UNSET, structs

from chat.wire.commands import Command
from chat.wire.dialects import goim
from chat.wire.dialects.centrifugal import CentrifugalJson
from chat.wire.dialects.centrifugal_protobuf import CentrifugalProtobuf
from chat.wire.dialects.dialect import BadCommand
from chat.wire.dialects.goim import Goim
from chat.wire.dialects.native import Json, Msgpack
from chat.wire.schema import ErrorCode, Msgs
from shard import handshake
from shard.door import Door
from shard.frames import FrameParser
from shard.handshake import Accepted, Answer
from shard.inbound import Inbound
from tests import fuzz
from tests.fuzz import TARGETS, Target, load
from tests.fuzz.mutate import MAX_BYTES, mutations
from tests.fuzz.splits import pack, unpack
from tests.shard.wire import terms

SEED = 6455
MUTATIONS = 5_000
"""A second or less for each target."""


def hunt(target: Target, inputs: Iterable[bytes]) -> None:
    """Check each input; the one that fails is named so that it can be pinned as a seed."""
    for data in inputs:
        try:
            target.check(data)
        except Exception as error:
            broken = f"{type(error).__name__}: {error}"
            raise AssertionError(f"{broken}, for bytes.fromhex({data.hex()!r})") from error


def changed(target: Target) -> Iterator[bytes]:
    return mutations(target.SEEDS, Random(SEED), MUTATIONS)


class TestInvariants:
    @pytest.mark.parametrize("name", TARGETS)
    def test_hold_for_the_seeds(self, name: str) -> None:
        hunt(load(name), load(name).SEEDS)

    @pytest.mark.parametrize("name", TARGETS)
    def test_hold_for_seeds_with_changes(self, name: str) -> None:
        hunt(load(name), changed(load(name)))

    @pytest.mark.parametrize("name", TARGETS)
    def test_are_one_sentence_each(self, name: str) -> None:
        assert load(name).INVARIANT.endswith(".")
        assert ". " not in load(name).INVARIANT

    def test_none_is_left_out(self) -> None:
        files = Path(fuzz.__file__).parent.glob("*.py")
        assert {path.stem for path in files if "\ndef check(" in path.read_text()} == {*TARGETS}
        assert {name for name, *_ in BROKEN} == {*TARGETS}


# Each takes what it replaces, and does one thing wrong.


def slips(_: Any) -> Any:
    def raising(*_: Any, **__: Any) -> Any:
        raise IndexError("an exception nobody asked for")

    return raising


def keeps_a_loan(_: Any) -> Any:
    return lambda parser, partial: None


def forgets_the_partial(feed: Any) -> Any:
    return lambda parser, data, partial, *rest: feed(parser, data, None, *rest)


def allows_twice_as_much(init: Any) -> Any:
    return lambda parser, buffers, limit: init(parser, buffers, 2 * limit)


def takes_as_many_as_come(feed: Any) -> Any:
    return lambda parser, data, partial, events, compression, most: feed(
        parser, data, partial, events, compression
    )


def counts_nothing(_: Any) -> Any:
    return lambda inbound, fd, controls=1: None


def keeps_who_is_over(_: Any) -> Any:
    return lambda inbound, fd, variant: None


def replying(change: Callable[[Accepted | Answer], Accepted | Answer]) -> Callable[[Any], Any]:
    return lambda respond: lambda data, terms: change(respond(data, terms))


def loses_a_byte(reply: Accepted | Answer) -> Accepted | Answer:
    return structs.replace(reply, rest=reply.rest[1:]) if isinstance(reply, Accepted) else reply


def injects_a_header(reply: Accepted | Answer) -> Accepted | Answer:
    return replace(reply, response=reply.response.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"))


def miscounts_its_body(reply: Accepted | Answer) -> Accepted | Answer:
    return reply if isinstance(reply, Accepted) else replace(reply, response=reply.response + b"x")


def takes_another_key(respond: Any) -> Any:
    return lambda data, terms: respond(data.replace(b"dGhl", b"dGhm"), terms)


def lets_all_origins_in(respond: Any) -> Any:
    return lambda data, terms: respond(data, replace(terms, origins=("*",)))


def hears_only_the_last_piece(_: Any) -> Any:
    return lambda door, fd, data: (
        handshake.respond(data, terms()) if handshake.END_OF_HEADERS in data else None
    )


def sees_no_address(parse: Any) -> Any:
    def parsing(data: bytes) -> Any:
        header = parse(data)
        return header and replace(header, source=None)

    return parsing


def waits_for_ever(_: Any) -> Any:
    return lambda data: None


def takes_no_heed_of_the_limit(inflate: Any) -> Any:
    return lambda packed, limit: inflate(packed, 1 << 20)


def cuts_at_the_limit(inflate: Any) -> Any:
    return lambda packed, limit: inflate(packed, 1 << 20)[:limit]


def cuts_a_byte(compress: Any) -> Any:
    return lambda payload: compress(payload)[:-1]


def numbers_anew(decode: Any) -> Any:
    def decoding(dialect: Any, payload: bytes) -> list[Command]:
        commands: list[Command] = decode(dialect, payload)
        return [structs.replace(command, ref=f"{command.ref}x"[:64]) for command in commands]

    return decoding


def says_nothing(_: Any) -> Any:
    def refusing(*_: Any) -> Any:
        raise BadCommand(ErrorCode.BAD_REQUEST, "", UNSET)

    return refusing


def writes_no_id(write: Any) -> Any:
    return lambda dialect, told: write(dialect, structs.replace(told, id=0))


def leaves_out_a_color(batches: Any) -> Any:
    def writing(*given: Any) -> Iterator[Msgs]:
        for batch in batches(*given):
            batch.m[0].color = UNSET
            yield batch

    return writing


def sends_bytes_as_they_are(_: Any) -> Any:
    return lambda dialect, events: b"".join(events)


def believes_the_length(parse: Any) -> Any:
    def parsing(payload: bytes) -> Any:
        return parse(len(payload).to_bytes(4, "big") + payload[4:])

    return parsing


def miscounts_its_length(packet: Any) -> Any:
    return lambda *fields: packet(*fields) + b"x"


BROKEN: list[tuple[str, Any, str, Callable[[Any], Any]]] = [
    ("frames", FrameParser, "feed", slips),
    ("frames", FrameParser, "feed", forgets_the_partial),
    ("frames", FrameParser, "discard", keeps_a_loan),
    ("frames", FrameParser, "__init__", allows_twice_as_much),
    ("frames", FrameParser, "feed", takes_as_many_as_come),
    ("inbound", Inbound, "events", slips),
    ("inbound", Inbound, "count", counts_nothing),
    ("inbound", Inbound, "forget", keeps_who_is_over),
    ("handshake", load("handshake"), "respond", slips),
    ("handshake", load("handshake"), "respond", replying(loses_a_byte)),
    ("handshake", load("handshake"), "respond", replying(injects_a_header)),
    ("handshake", load("handshake"), "respond", replying(miscounts_its_body)),
    ("handshake", load("handshake"), "respond", takes_another_key),
    ("handshake", load("handshake"), "respond", lets_all_origins_in),
    ("handshake", Door, "request", hears_only_the_last_piece),
    ("proxyprotocol", load("proxyprotocol"), "parse", slips),
    ("proxyprotocol", load("proxyprotocol"), "parse", sees_no_address),
    ("proxyprotocol", load("proxyprotocol"), "parse", waits_for_ever),
    ("inflate", load("inflate"), "inflate", slips),
    ("inflate", load("inflate"), "inflate", takes_no_heed_of_the_limit),
    ("inflate", load("inflate"), "inflate", cuts_at_the_limit),
    ("inflate", load("inflate"), "compress", cuts_a_byte),
    ("dialects", Json, "decode", slips),
    ("dialects", Json, "decode", says_nothing),
    ("dialects", Msgpack, "decode", numbers_anew),
    ("dialects", Msgpack, "payload", sends_bytes_as_they_are),
    ("dialects", load("dialects"), "batches", leaves_out_a_color),
    ("goim", Goim, "decode", slips),
    ("goim", goim, "parse", believes_the_length),
    ("goim", goim, "packet", miscounts_its_length),
    ("centrifugal", CentrifugalJson, "decode", slips),
    ("centrifugal", CentrifugalProtobuf, "decode", says_nothing),
    ("centrifugal", CentrifugalProtobuf, "decode", numbers_anew),
    ("centrifugal", CentrifugalJson, "write", writes_no_id),
]


class TestTheChecksThemselves:
    @pytest.mark.parametrize(
        ("name", "owner", "attribute", "broken"),
        BROKEN,
        ids=[f"{name}-{attribute}-{broken.__name__}" for name, _, attribute, broken in BROKEN],
    )
    def test_see_what_is_broken(
        self,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        owner: Any,
        attribute: str,
        broken: Callable[[Any], Any],
    ) -> None:
        monkeypatch.setattr(owner, attribute, broken(getattr(owner, attribute)))
        target = load(name)
        with pytest.raises(AssertionError, match=r"for bytes\.fromhex\('"):
            hunt(target, chain(target.SEEDS, changed(target)))


class TestInputs:
    def test_splits_are_read_as_they_were_packed(self) -> None:
        assert unpack(pack(b"abcdef", 2, 0, 3, flags=31)) == (31, [b"ab", b"", b"cde", b"f"])
        assert unpack(pack(b"abc")) == (0, [b"abc"])

    def test_a_body_too_short_for_its_split_is_read_too(self) -> None:
        assert unpack(b"") == (0, [b""])
        assert unpack(b"\x0a\x05") == (1, [b"", b""])
        assert unpack(pack(b"ab", 9, 9)) == (0, [b"ab", b"", b""])

    def test_changes_are_the_same_for_the_same_seed_and_other_for_another(self) -> None:
        seeds = [b"", b"abc", bytes(MAX_BYTES)]
        made = [[*mutations(seeds, Random(seed), 500)] for seed in (1, 1, 2)]
        assert made[0] == made[1] != made[2]
        assert max(map(len, made[0])) <= MAX_BYTES

    def test_changes_change(self) -> None:
        seeds = [b"the first of two", b"and the second"]
        assert len({*mutations(seeds, Random(1), 500)} - {*seeds}) > 400


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "nope"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "there is no nope; there are frames, inbound" in ran.stderr
