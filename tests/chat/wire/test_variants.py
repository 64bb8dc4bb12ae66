"""The table of variants: what a server has, by its configuration."""

import pytest

from chat.config.sections import Server
from chat.wire.dialects.eventstream import EVENT_STREAM
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.variants import Variants
from shard.wires.websocket import WebSocket


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
    assert [path for path, _, _ in table(Variants(Server(dialects=("sse",))))] == ["/sse", ""]


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


@pytest.mark.parametrize("number", range(6))
def test_a_frame_is_the_dialects_payload_on_its_wire(number: int) -> None:
    variant = Variants(Server())[number]
    written = [b"{}"] * 200
    payload = variant.dialect.payload(written, "e-1")
    assert variant.frame(written, "e-1") == variant.wire.wrap(payload, variant.dialect.binary)
