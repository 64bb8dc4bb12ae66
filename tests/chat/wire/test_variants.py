"""The table of variants: what a server has, by its configuration."""

import struct

import pytest

from chat.config.sections import Server
from chat.wire.commands import Join
from chat.wire.dialects.eventstream import EVENT_STREAM
from chat.wire.dialects.goimpackets import packet
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.foreign import Connect
from chat.wire.variants import Variants
from shard.handshake import Accepted, Answer, respond
from shard.wires.websocket import WebSocket


def upgrade(path: str, *lines: str) -> bytes:
    head = [
        *(f"GET {path} HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *lines),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


def table(variants: Variants) -> list[tuple[str, str, bool]]:
    return [
        (
            one.path,
            type(one.dialect).__name__,
            isinstance(one.wire, WebSocket) and one.wire.deflated,
        )
        for one in variants
    ]


def test_by_default_there_is_everything() -> None:
    assert table(Variants(Server())) == [
        ("/ws", "Json", False),
        ("/ws", "Json", True),
        ("/ws", "Msgpack", False),
        ("/ws", "Msgpack", True),
        ("/sse", "EventStream", False),
        ("", "EventStream", False),
    ]


def test_what_is_switched_off_is_not_there() -> None:
    assert table(Variants(Server(compression=False, dialects=("danmaku",), path="/chat"))) == [
        ("/chat", "Json", False),
        ("/chat", "Msgpack", False),
    ]
    assert table(Variants(Server(dialects=("sse",)))) == [
        ("/sse", "EventStream", False),
        ("", "EventStream", False),
    ]


def test_goims_clients_come_to_one_place_and_become_what_they_ask_for() -> None:
    variants = Variants(Server(dialects=("goim",), goim_room="room:{}"))
    assert [(one.path, one.dialect.introduces, one.shared) for one in variants] == [
        ("/sub", True, True),
        ("", True, True),
        ("", True, True),
    ]
    assert len({one.wire for one in variants}) == 1
    [connect, join] = variants[0].dialect.decode(packet(7, b'{"roomid":42,"protover":3}'))
    assert isinstance(connect, Connect)
    assert variants.speaking(0, connect.speaks) == 2
    assert join == Join("room:42")


def test_nothing_is_deflated_for_them_twice() -> None:
    line = "Sec-WebSocket-Extensions: permessage-deflate"
    accepted = respond(upgrade("/sub", line), Variants(Server(dialects=("danmaku", "goim"))).terms)
    assert isinstance(accepted, Accepted)
    assert b"permessage-deflate" not in accepted.response


def test_without_any_dialect_nothing_is_offered() -> None:
    none = Variants(Server(dialects=()))
    assert (len(none), list(none), list(none.terms.offers), none.by_dialect) == (0, [], [], {})


def test_offers_stand_where_their_variants_do() -> None:
    variants = Variants(Server(origins=("https://a.example",)))
    assert variants.terms.origins == ("https://a.example",)
    assert [(offer.path, offer.wire, offer.subprotocol) for offer in variants.terms.offers] == [
        (one.path, one.wire, one.dialect.name) for one in variants
    ]


def test_each_dialect_knows_its_variants() -> None:
    variants = Variants(Server())
    assert variants.by_dialect == {JSON: [0, 1], MSGPACK: [2, 3], EVENT_STREAM: [4, 5]}
    assert [variants[number].shared for number in (4, 5)] == [True, False]
    assert variants.unshared(4) == 5
    with pytest.raises(StopIteration):
        variants.unshared(0)
    assert variants.speaking(4, EVENT_STREAM) == 4
    with pytest.raises(StopIteration):
        variants.speaking(0, EVENT_STREAM)
    alone = Variants(Server(dialects=("sse",), compression=False))
    assert alone.by_dialect == {EVENT_STREAM: [0, 1]}
    assert alone.unshared(0) == 1
    assert alone.unshared(1) == 1


@pytest.mark.parametrize(
    ("asked", "subprotocol", "variant", "dialect"),
    [
        (None, "", 0, "Json"),
        ("danmaku.json", "danmaku.json", 0, "Json"),
        ("danmaku.msgpack", "danmaku.msgpack", 2, "Msgpack"),
        ("danmaku.msgpack, danmaku.json", "danmaku.json", 0, "Json"),
        ("danmaku.protobuf", "", 0, "Json"),
    ],
)
@pytest.mark.parametrize("deflates", [False, True])
def test_what_a_client_asks_for_is_what_it_speaks(
    asked: str | None, subprotocol: str, variant: int, dialect: str, deflates: bool
) -> None:
    """And JSON is what it gets that asks for nothing."""
    variants = Variants(Server())
    lines = [] if asked is None else [f"Sec-WebSocket-Protocol: {asked}"]
    lines += ["Sec-WebSocket-Extensions: permessage-deflate"] * deflates
    accepted = respond(upgrade("/ws", *lines), variants.terms)
    assert isinstance(accepted, Accepted)
    assert (accepted.variant, accepted.request.subprotocol) == (variant + deflates, subprotocol)
    assert type(variants[accepted.variant].dialect).__name__ == dialect


def test_a_stream_of_events_is_at_an_address_of_its_own() -> None:
    accepted = respond(b"GET /sse?room=a HTTP/1.1\r\nHost: h\r\n\r\n", Variants(Server()).terms)
    assert isinstance(accepted, Accepted)
    assert accepted.variant == 4


@pytest.mark.parametrize("target", ["/", "/?room=a", "http://h", "http://h?room=a", "*"])
def test_what_connections_only_become_is_at_no_address(target: str) -> None:
    refused = respond(upgrade(target), Variants(Server()).terms)
    assert isinstance(refused, Answer)
    assert refused.status == 404
    assert refused.response.endswith(b"connections are at /ws and /sse\n")


@pytest.mark.parametrize("lines", [[], ["Sec-WebSocket-Extensions: permessage-deflate"]])
def test_what_is_switched_off_is_not_to_be_had(lines: list[str]) -> None:
    terms = Variants(Server(compression=False, dialects=("danmaku",))).terms
    accepted = respond(upgrade("/ws", *lines), terms)
    assert isinstance(accepted, Accepted)
    assert accepted.variant == 0
    assert b"permessage-deflate" not in accepted.response
    refused = respond(upgrade("/sse"), terms)
    assert isinstance(refused, Answer)
    assert refused.status == 404


@pytest.mark.parametrize(("number", "opcode"), [(0, 0x81), (2, 0x82)])
@pytest.mark.parametrize("size", [1, 200, 70_000])
def test_a_frame_says_whether_it_is_text(number: int, opcode: int, size: int) -> None:
    variant = Variants(Server())[number]
    written = [b"x" * size]
    body = variant.dialect.payload(written)
    made = variant.frame(written)
    assert made.endswith(body)
    header = made[: -len(body)]
    assert header[0] == opcode
    if len(body) < 126:
        assert header[1:] == bytes([len(body)])
    elif len(body) < 65_536:
        assert header[1:] == b"\x7e" + struct.pack("!H", len(body))
    else:
        assert header[1:] == b"\x7f" + struct.pack("!Q", len(body))


def test_a_frame_of_events_is_an_event_of_the_stream() -> None:
    for number in (4, 5):
        made = Variants(Server())[number].frame([b"{}", b"{}"], "e-1,f-2")
        assert made == b"id: e-1,f-2\ndata: [{},{}]\n\n"


@pytest.mark.parametrize("number", range(6))
def test_a_frame_is_the_dialects_payload_on_its_wire(number: int) -> None:
    variant = Variants(Server())[number]
    written = [b"{}"] * 200
    payload = variant.dialect.payload(written, "e-1")
    assert variant.frame(written, "e-1") == variant.wire.wrap(payload, variant.dialect.binary)


class TestCentrifugal:
    PATH = "/connection/websocket"
    VARIANTS = Variants(Server(dialects=("danmaku", "centrifugal")))

    def test_has_both_forms_each_deflated_or_not(self) -> None:
        assert table(self.VARIANTS)[4:] == [
            (self.PATH, "CentrifugalJson", False),
            (self.PATH, "CentrifugalJson", True),
            (self.PATH, "CentrifugalProtobuf", False),
            (self.PATH, "CentrifugalProtobuf", True),
        ]

    @pytest.mark.parametrize(
        ("lines", "variant"),
        [
            ([], 4),
            (["Sec-WebSocket-Protocol: centrifuge-protobuf"], 6),
            (["Sec-WebSocket-Extensions: permessage-deflate"], 5),
        ],
    )
    def test_json_is_for_who_asks_for_nothing(self, lines: list[str], variant: int) -> None:
        accepted = respond(upgrade(self.PATH, *lines), self.VARIANTS.terms)
        assert isinstance(accepted, Accepted)
        assert accepted.variant == variant

    @pytest.mark.parametrize("number", [4, 5])
    def test_who_asks_by_the_address_goes_on_in_the_same_frames(self, number: int) -> None:
        protobuf = self.VARIANTS[6].dialect
        became = self.VARIANTS.speaking(number, protobuf)
        assert became == number + 2
        assert self.VARIANTS[became].wire.ping != self.VARIANTS[number].wire.ping

    def test_is_off_unless_it_is_asked_for(self) -> None:
        refused = respond(upgrade(self.PATH), Variants(Server()).terms)
        assert isinstance(refused, Answer)
        assert refused.status == 404
