"""Stream entries: packed and unpacked, by older and newer versions, and by strangers."""

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.bus.entries import BadEntry, id_order, pack_msg, pack_notice, unpack_msg, unpack_notice
from chat.wire.schema import Msg, Notice

WHOLE = ["u7", "阿花", "前方高能", 0xFFFFFF, "scroll", 25, 1764000000123]


def packed(value: Any) -> bytes:
    entry: bytes = msgpack.packb(value)
    return entry


class TestMessages:
    @pytest.mark.parametrize(("kind", "found"), [(None, UNSET), ("gift", "gift")])
    def test_a_message_comes_back_at_its_place(self, kind: str | None, found: Any) -> None:
        entry = pack_msg("u7", "阿花", "前方高能", 1, "top", 25, 1764, kind)
        assert unpack_msg(entry, "live:42", "k3f9", 12) == Msg(
            "live:42", 12, "k3f9-12", "u7", "阿花", "前方高能", 1, "top", 25, 1764, found
        )

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53))
    def test_whatever_the_text(self, text: str, ts: int) -> None:
        message = unpack_msg(pack_msg("u", "n", text, 0, "scroll", 12, ts), "r", "e", 1)
        assert (message.text, message.ts) == (text, ts)

    def test_an_older_entry_lacks_what_came_later(self) -> None:
        assert unpack_msg(packed(WHOLE), "r", "e", 1).kind is UNSET

    def test_a_newer_entry_has_more(self) -> None:
        newer = packed([*WHOLE, "gift", {"badge": 3}, [1, 2]])
        assert unpack_msg(newer, "r", "e", 1).kind == "gift"

    @pytest.mark.parametrize(
        "entry",
        [b"", b"\xc1", b"hello", packed(None), packed({}), packed([]), packed(WHOLE[:6]),
         packed([1, *WHOLE[1:]]), packed([*WHOLE[:3], "red", *WHOLE[4:]]), packed([*WHOLE, 5]),
         packed([*WHOLE[:2], b"bytes", *WHOLE[3:]]), packed(WHOLE)[:-1], packed(WHOLE) + b"x",
         packed(WHOLE).replace("前".encode(), b"\xff\xff\xff"), b"\x91" * 100_000,
         packed([*WHOLE[:2], msgpack.ExtType(4, b"x"), *WHOLE[3:]])],
    )  # fmt: skip
    def test_a_strangers_entry_is_a_bad_entry(self, entry: bytes) -> None:
        with pytest.raises(BadEntry):
            unpack_msg(entry, "r", "e", 1)

    @given(st.binary(max_size=60))
    def test_any_bytes_are_an_entry_or_a_bad_one(self, entry: bytes) -> None:
        with suppress(BadEntry):
            unpack_msg(entry, "r", "e", 1)
        with suppress(BadEntry):
            unpack_notice(entry, "1-0")


class TestNotices:
    def test_to_everyone(self) -> None:
        users, notice = unpack_notice(pack_notice(None, "sys", "hi", 1, 2), "5-0")
        assert users is None
        assert notice == Notice("5-0", "all", "sys", "hi", 1, 2)

    def test_to_users(self) -> None:
        entry = pack_notice(["u1", "guest:x"], "sys", "hi", 1, 2, "gift")
        users, notice = unpack_notice(entry, "5-0")
        assert users == ["u1", "guest:x"]
        assert notice == Notice("5-0", "user", "sys", "hi", 1, 2, "gift")

    @pytest.mark.parametrize(
        "entry", [b"", packed([1]), packed([["u"], "n", 5, 1, 2]), packed("x")]
    )
    def test_a_strangers_is_a_bad_entry(self, entry: bytes) -> None:
        with pytest.raises(BadEntry):
            unpack_notice(entry, "5-0")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (b"0-0", b"0-1"),
        (b"9-0", b"10-0"),
        (b"1764000000123-9", b"1764000000123-10"),
        (b"1-99", b"2-0"),
    ],
)
def test_ids_are_ordered_by_number(earlier: bytes, later: bytes) -> None:
    assert id_order(earlier) < id_order(later)
    assert id_order(later) == id_order(bytes(later))
