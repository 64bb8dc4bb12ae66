"""The Centrifugal protocol in JSON: lines in, lines out."""

import json
from typing import Any

import pytest
from msgspec import structs

from chat.wire.batch import batches, shorten
from chat.wire.commands import Join, Ping, Since
from chat.wire.dialects.centrifugal import PING, CentrifugalJson
from chat.wire.dialects.centrifugal_protobuf import CentrifugalProtobuf
from chat.wire.dialects.dialect import BadCommand, Missed
from chat.wire.foreign import Alive, Connect, Subscribe
from chat.wire.schema import (
    Batched,
    Bye,
    Clear,
    Delete,
    Error,
    ErrorCode,
    Joined,
    LeftOut,
    Msg,
    Msgs,
    Online,
    Removed,
    Shadowed,
    State,
)
from shard.closecodes import CloseCode
from shard.handshake import Request

PROTOBUF = CentrifugalProtobuf(lambda: 0.0)
JSON = CentrifugalJson(PROTOBUF, lambda: 0.0)


def msg(seq: int, text: str = "幕\n", uid: str = "u7") -> Msg:
    return Msg("a", seq, f"e-{seq}", uid, uid, text, 255, "top", 25, 1764000000123)


def lines(written: bytes | None) -> list[Any]:
    assert written is not None
    return [json.loads(line) for line in written.split(b"\n")]


class TestCommands:
    def test_each_is_a_line(self) -> None:
        payload = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"a","flag":1}}\n{}\n'
        assert JSON.decode(payload) == [
            *(Connect(ref=1, retries=True), Subscribe("a", None, 2), Alive())
        ]

    @pytest.mark.parametrize(
        "payload",
        [
            *(b"", b"\n", b"[]", b"5", b"{", b'{"id":1}', b'{"id":"1","ping":{}}', b"\xff"),
            *(
                b"{}\n\n{}",
                b'{"id":1,"ping":{}}{}',
                b'{"id":1,"ping":[]}',
                b'{"id":1e99,"ping":{}}',
            ),
            b'{"id":1,"rpc":{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
            b'{"id":1,"subscribe":{"channel":5}}',
        ],
    )
    def test_what_is_none_ends_the_connection(self, payload: bytes) -> None:
        with pytest.raises(BadCommand) as bad:
            JSON.decode(payload)
        assert bad.value.closes is CloseCode.PROTOCOL_ERROR
        assert str(bad.value)

    def test_what_nobody_reads_may_be_anything(self) -> None:
        assert JSON.decode(b'{"id":1,"ping":{"x":[{}]},"more":5}') == [Ping(1)]


class TestPublications:
    def test_a_batch_is_a_push_for_each_that_is_shown(self) -> None:
        places: list[Batched] = [
            msg(5),
            Removed("a", 6),
            Shadowed(msg(7)),
            LeftOut(msg(8)),
            msg(9, uid="u8"),
        ]
        [batch] = batches("a", "e", places)
        pushes = [line["push"] for line in lines(JSON.event(batch))]
        assert [push["channel"] for push in pushes] == ["a", "a"]
        assert [push["pub"]["offset"] for push in pushes] == [5, 9]
        assert [push["pub"]["info"]["user"] for push in pushes] == ["u7", "u8"]
        assert "epoch" not in pushes[0]["pub"]
        assert pushes[0]["pub"]["data"] == {
            "t": "msg",
            "room": "a",
            "seq": 5,
            "id": "e-5",
            "uid": "u7",
            "name": "u7",
            "text": "幕\n",
            "color": 255,
            "mode": "top",
            "size": 25,
            "ts": 1764000000123,
        }

    def test_one_that_shows_nothing_is_nothing(self) -> None:
        [batch] = batches("a", "e", [Shadowed(msg(5)), Removed("a", 6)])
        assert JSON.event(batch) is None

    def test_the_first_of_an_epoch_names_it(self) -> None:
        [batch] = batches("a", "e", [msg(1), msg(2)])
        assert [one["push"]["pub"]["epoch"] for one in lines(JSON.event(batch))] == ["e", "e"]

    @pytest.mark.parametrize(
        "event",
        [Delete("a", 5, 3, 9), Clear("a", 5, 9, "u7"), State("a", 5, 9, {"slow_s": 3})],
    )
    def test_what_takes_a_place_is_one_by_its_name(self, event: Delete | Clear | State) -> None:
        [line] = lines(JSON.event(event))
        pub = line["push"]["pub"]
        assert pub["offset"] == 5
        assert pub["data"]["t"] == type(event).__name__.lower()

    def test_what_has_no_word_is_left_out(self) -> None:
        assert JSON.event(Online("a", 5)) is None
        assert JSON.farewell(Bye("restart", 1.0)) == b""
        assert JSON.place(shorten([Removed("a", 3)], None)[0], Removed("a", 3)) == b""


class TestAnswers:
    JOINED = Joined("a", "e", 9, 5, True, [], state={"slow_s": 0, "x": "]}}"})

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_a_history_in_parts_is_as_it_is_whole(self, count: int) -> None:
        places = [structs.replace(msg(seq), priority=7, until=9) for seq in range(7, 7 + count)]
        since = Since("e", 6)
        written = [JSON.place(shorten([place], None)[0], place) for place in places]
        body = JSON.between.join(written)
        event = structs.replace(self.JOINED, ref=300)
        before, behind = JSON.around(event, since, count, len(body))
        [parts] = lines(before + body + behind)
        [whole] = lines(JSON.joined(structs.replace(event, history=shorten(places, None)), since))
        parts["subscribe"]["publications"] = parts["subscribe"]["publications"] or None
        whole["subscribe"].setdefault("publications", None)
        assert parts == whole
        assert parts["id"] == 300

    def test_one_written_for_many_is_given_an_id(self) -> None:
        shared = JSON.joined(self.JOINED, None)
        [numbered] = lines(JSON.answering(shared, 7))
        assert numbered == {"id": 7, **lines(shared)[0]}

    def test_several_are_lines_of_one_payload(self) -> None:
        error = JSON.event(Error(ErrorCode.MUTED, "no", 5))
        assert error is not None
        assert [line["id"] for line in lines(JSON.payload([error, error]))] == [5, 5]

    def test_a_failed_connect_is_answered_where_its_client_can_help(self) -> None:
        [told] = lines(JSON.refusal(CloseCode.TOKEN_EXPIRED, "over", 1))
        assert (told["id"], told["error"]["code"]) == (1, 109)
        assert JSON.refusal(CloseCode.BAD_TOKEN, "bad", 1) == b""


def test_the_form_may_be_asked_for_by_the_address() -> None:
    path = "/connection/websocket"
    assert JSON.asked_by(Request(path, {}, {})) is JSON
    assert JSON.asked_by(Request(path, {"format": ["json"]}, {})) is JSON
    assert JSON.asked_by(Request(path, {"format": ["protobuf"]}, {})) is PROTOBUF
    assert PROTOBUF.asked_by(Request(path, {}, {})) is PROTOBUF
    nothing: list[Join] = []
    assert JSON.opening(Request(path, {"room": ["a"]}, {})) == nothing


def test_what_the_hub_does_for_it() -> None:
    for dialect in (JSON, PROTOBUF):
        assert (dialect.introduces, dialect.pings, dialect.watches) == (True, True, False)
        assert dialect.missed is Missed.CLOSE
        assert dialect.greeting() == b""
    assert PING == b"\x81\x02{}"


@pytest.mark.parametrize("dialect", [JSON, PROTOBUF])
def test_a_long_batch_is_cut_between_publications(dialect: CentrifugalJson) -> None:
    whole = dialect.event(Msgs("a", "e", 1, 40, shorten([msg(seq) for seq in range(1, 41)], 0)))
    assert whole is not None
    pieces = dialect.pieces(whole, 900)
    assert len(pieces) > 5
    assert all(len(piece) <= 900 for piece in pieces)
    assert dialect.payload(pieces) == whole
    assert len(dialect.pieces(whole, 1)) == 40
