"""Histories as Redis gives them, read as places in order."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.entries import Said, pack
from chat.bus.places import cut, read_places, removed_at
from chat.wire.schema import Msg, Removed

ENTRY = pack(Said("u", "n", "hi", 1, "scroll", 25, 5))


def entries(*seqs: int) -> list[tuple[bytes, list[bytes]]]:
    """As a script gives them."""
    return [(f"{seq}-0".encode(), [b"m", ENTRY, b"f", b"1-0"]) for seq in seqs]


class TestReading:
    def test_removed_places_stand_between_messages(self) -> None:
        found = read_places("r", "e", entries(1, 4), [2, 20, 3, 30])
        assert [place.seq for place in found] == [1, 2, 3, 4]
        assert found[1] == Removed("r", 2, 20)
        assert isinstance(found[3], Msg)

    def test_fields_come_as_a_list_or_a_dict(self) -> None:
        [listed] = read_places("r", "e", entries(1))
        [named] = read_places("r", "e", [(b"1-0", {b"m": ENTRY, b"f": b"1-0"})])
        assert listed == named

    def test_what_is_no_entry_is_left_out(self) -> None:
        assert read_places("r", "e", [(b"1-0", [b"m", b"\xc1"]), (b"2-0", {b"x": b""})]) == []


class TestRemovedAt:
    PACKED = msgspec.msgpack.encode([3, 1764000000123, 5, 7])

    def test_a_place_is_found_by_its_seq(self) -> None:
        assert removed_at(self.PACKED, 3) == (3, 1764000000123)
        assert removed_at(self.PACKED, 5) == (5, 7)
        assert removed_at(self.PACKED, 7) == ()

    @pytest.mark.parametrize("packed", [None, b"", b"\xc1", b"\xa1x", b"\x91\x05"])
    def test_what_is_none_of_ours_has_none(self, packed: bytes | None) -> None:
        assert removed_at(packed, 5) == ()


class TestCutting:
    @given(
        st.sets(st.integers(1, 30)),
        st.sets(st.integers(1, 30)),
        st.integers(1, 8),
        st.booleans(),
    )
    def test_a_page_is_the_nearest_places_in_order(
        self, said: set[int], removed: set[int], most: int, backwards: bool
    ) -> None:
        removed -= said
        read = sorted(said, reverse=backwards)[: most + 1]
        gone = sorted(removed, reverse=backwards)[: most + 1]
        flat = [number for seq in gone for number in (seq, 7)]
        page = cut("r", "e", 30, entries(*read), flat, most, backwards)
        whole = sorted(said | removed, reverse=backwards)
        assert [place.seq for place in page.places] == sorted(whole[:most])
        assert page.more is (len(whole) > most)
        assert page.end == (whole[:most][-1] if whole else None)
        assert {place.seq for place in page.places if isinstance(place, Removed)} <= removed

    def test_what_cannot_be_read_counts_as_read(self) -> None:
        page = cut("r", "e", 2, [(b"1-0", [b"m", b""]), *entries(2)], [], 1, backwards=False)
        assert (page.places, page.end, page.more) == ([], 1, True)
