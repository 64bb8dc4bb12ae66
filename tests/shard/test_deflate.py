"""permessage-deflate: what is agreed, what is packed, and what a bomb costs."""

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame, Opcode
from websockets.headers import parse_extension

from shard.closecodes import CloseCode, ProtocolError
from shard.deflate import MOST_ITEMS, TAIL, compress, inflate, joined, negotiate, pack, store

LIMIT = 100_000


class TestNegotiation:
    @pytest.mark.parametrize(
        "offer",
        [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_max_window_bits=9",
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=10",
        ],
    )
    def test_neither_side_keeps_a_context(self, offer: str) -> None:
        answer = negotiate(offer)
        assert answer is not None
        [(name, parameters)] = parse_extension(answer)
        assert name == "permessage-deflate"
        assert ("server_no_context_takeover", None) in parameters
        assert ("client_no_context_takeover", None) in parameters

    def test_a_demanded_window_is_confirmed(self) -> None:
        answer = negotiate("permessage-deflate; server_max_window_bits=10")
        assert answer is not None
        assert "server_max_window_bits=10" in answer

    def test_the_first_offer_that_can_be_met_is_taken(self) -> None:
        answer = negotiate(
            "permessage-deflate; server_max_window_bits=8, "
            "permessage-deflate; server_max_window_bits=12"
        )
        assert answer is not None
        assert "server_max_window_bits=12" in answer

    @pytest.mark.parametrize(
        "offer",
        [
            "x-something-else",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; unheard_of",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate;;",
            "x," * MOST_ITEMS + "permessage-deflate",
            "x" + ";y" * MOST_ITEMS + ",permessage-deflate",
            '"',
            "",
        ],
    )
    def test_what_cannot_be_met_is_not_answered(self, offer: str) -> None:
        assert negotiate(offer) is None

    def test_the_websockets_client_takes_our_answer(self) -> None:
        client = ClientPerMessageDeflateFactory(client_max_window_bits=True)
        answer = negotiate("permessage-deflate; client_max_window_bits")
        assert answer is not None
        [(_, parameters)] = parse_extension(answer)
        client.process_response_params(parameters, [])


class TestPacking:
    @given(st.binary(max_size=5000))
    def test_what_is_packed_inflates_to_the_same(self, payload: bytes) -> None:
        assert inflate(compress(payload), LIMIT) == payload

    @given(st.binary(min_size=1, max_size=300).map(lambda part: part * 20))
    def test_a_client_with_the_smallest_window_can_read_it(self, payload: bytes) -> None:
        assert zlib.decompressobj(-9).decompress(compress(payload) + TAIL) == payload

    @given(st.binary(min_size=1, max_size=5000))
    def test_the_websockets_package_reads_it_and_we_read_its(self, payload: bytes) -> None:
        peer = PerMessageDeflate(True, True, 15, 15)
        ours = Frame(Opcode.BINARY, compress(payload), rsv1=True)
        assert bytes(peer.decode(ours).data) == payload
        theirs = peer.encode(Frame(Opcode.BINARY, payload))
        assert inflate(bytes(theirs.data), LIMIT) == payload

    def test_a_batch_of_chat_shrinks_to_less_than_half(self) -> None:
        line = b'{"t":"msg","room":"live:42","seq":%d,"uid":"u%d","text":"hello"},'
        batch = b"".join(line % (1000 + i, i % 7) for i in range(20))
        assert len(compress(batch)) < len(batch) / 2


class TestParts:
    @given(st.lists(st.tuples(st.binary(max_size=3_000), st.booleans()), max_size=6))
    def test_any_of_them_make_one_message(self, parts: list[tuple[bytes, bool]]) -> None:
        """For us, for the smallest window, and for the websockets package."""
        whole = b"".join(part for part, _ in parts)
        packed = joined(pack(part) if packs else store(part) for part, packs in parts)
        assert inflate(packed, LIMIT) == whole
        assert zlib.decompressobj(-9).decompress(packed + TAIL) == whole
        theirs = PerMessageDeflate(True, True, 15, 15)
        frame = Frame(Opcode.BINARY, packed, rsv1=True)
        assert theirs.decode(frame).data == whole

    @pytest.mark.parametrize("size", [0, 1, 0xFFFF, 0x10000, 200_000])
    def test_what_is_stored_may_be_of_any_size(self, size: int) -> None:
        part = b"x" * size
        assert inflate(joined([store(part)]), size) == part


class TestInflating:
    @given(st.binary(max_size=200))
    def test_any_bytes_inflate_or_are_refused(self, packed: bytes) -> None:
        try:
            assert len(inflate(packed, 1000)) <= 1000
        except ProtocolError as error:
            assert error.code in (CloseCode.INVALID_PAYLOAD, CloseCode.TOO_BIG)

    def test_exactly_the_limit_is_let_through(self) -> None:
        assert len(inflate(compress(bytes(1000)), 1000)) == 1000

    def test_one_byte_more_is_refused(self) -> None:
        with pytest.raises(ProtocolError) as refused:
            inflate(compress(bytes(1001)), 1000)
        assert refused.value.code == CloseCode.TOO_BIG

    def test_a_bomb_costs_no_more_than_the_limit(self) -> None:
        bomb = compress(bytes(50_000_000))
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError):
                inflate(bomb, 10_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 10_000 * 2 + len(bomb) * 3
