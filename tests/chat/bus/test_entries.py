"""Stream entries: packed and read, by older and newer versions, and by strangers."""

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.bus.entries import (
    BadEntry,
    Cleared,
    Deleted,
    Entry,
    Noticed,
    Ruled,
    Said,
    id_order,
    pack,
    read,
    read_notice,
)
from chat.wire.schema import Clear, Delete, Msg, Notice, Sequenced, State

WHOLE = ["m", "u7", "阿花", "前方高能", 0xFFFFFF, "scroll", 25, 1764000000123]


def packed(value: Any) -> bytes:
    entry: bytes = msgpack.packb(value)
    return entry


def said(entry: bytes) -> Msg:
    message = read(entry, "r", "e", 1)
    assert isinstance(message, Msg)
    return message


class TestMessages:
    @pytest.mark.parametrize(("kind", "found"), [(None, UNSET), ("gift", "gift")])
    def test_a_message_comes_back_at_its_place(self, kind: str | None, found: Any) -> None:
        entry = pack(Said("u7", "阿花", "前方高能", 1, "top", 25, 1764, kind))
        assert read(entry, "live:42", "k3f9", 12) == Msg(
            "live:42", 12, "k3f9-12", "u7", "阿花", "前方高能", 1, "top", 25, 1764, found
        )

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53))
    def test_whatever_the_text(self, text: str, ts: int) -> None:
        message = said(pack(Said("u", "n", text, 0, "scroll", 12, ts)))
        assert (message.text, message.ts) == (text, ts)

    def test_an_older_entry_lacks_what_came_later(self) -> None:
        assert said(packed(WHOLE)).kind is UNSET

    def test_a_newer_entry_has_more(self) -> None:
        newer = packed([*WHOLE, "gift", {"badge": 3}, [1, 2]])
        assert said(newer).kind == "gift"

    @pytest.mark.parametrize(
        "entry",
        [b"", b"\xc1", b"hello", packed(None), packed({}), packed([]), packed(WHOLE[:7]),
         packed(["m", 1, *WHOLE[2:]]), packed(["z", *WHOLE[1:]]), packed(WHOLE[1:]), packed([1]),
         packed([*WHOLE[:4], "red", *WHOLE[5:]]), packed([*WHOLE, 5]),
         packed([*WHOLE[:3], b"bytes", *WHOLE[4:]]), packed(WHOLE)[:-1], packed(WHOLE) + b"x",
         packed(WHOLE).replace("前".encode(), b"\xff\xff\xff"), b"\x91" * 100_000,
         packed([*WHOLE[:3], msgpack.ExtType(4, b"x"), *WHOLE[4:]]),
         packed(["n", None, "sys", "hi", 1, 2]), packed(["d", "3", 5]), packed(["s", [], 5])],
    )  # fmt: skip
    def test_a_strangers_entry_is_a_bad_entry(self, entry: bytes) -> None:
        with pytest.raises(BadEntry):
            read(entry, "r", "e", 1)

    @given(st.binary(max_size=60))
    def test_any_bytes_are_an_entry_or_a_bad_one(self, entry: bytes) -> None:
        with suppress(BadEntry):
            read(entry, "r", "e", 1)
        with suppress(BadEntry):
            read_notice(entry)


class TestOtherKinds:
    @pytest.mark.parametrize(
        ("entry", "event"),
        [
            (Deleted(3, 1764), Delete("r", 9, 3, 1764)),
            (Cleared(None, 1764), Clear("r", 9, 1764)),
            (Cleared("u7", 1764), Clear("r", 9, 1764, "u7")),
            (Ruled({"slow_s": 2.5}, 1764), State("r", 9, 1764, {"slow_s": 2.5})),
        ],
    )
    def test_each_takes_a_place(self, entry: Entry, event: Sequenced) -> None:
        assert read(pack(entry), "r", "e", 9) == event

    def test_kinds_are_told_apart_by_their_first_field(self) -> None:
        kinds: list[Entry] = [
            *(Said("u", "n", "t", 1, "top", 25, 1), Deleted(1, 2), Cleared(None, 1)),
            Ruled({}, 1),
        ]
        assert [msgpack.unpackb(pack(entry))[0] for entry in kinds] == ["m", "d", "c", "s"]


class TestNotices:
    def test_to_everyone(self) -> None:
        noticed = read_notice(pack(Noticed(None, "sys", "hi", 1, 2)))
        assert noticed.users is None
        assert noticed.event("5-0") == Notice("5-0", "all", "sys", "hi", 1, 2)

    def test_to_users(self) -> None:
        noticed = read_notice(pack(Noticed(["u1", "guest:x"], "sys", "hi", 1, 2, "gift")))
        assert noticed.users == ["u1", "guest:x"]
        assert noticed.event("5-0") == Notice("5-0", "user", "sys", "hi", 1, 2, "gift")

    @pytest.mark.parametrize(
        "entry",
        [b"", packed(["n", 1]), packed(["n", ["u"], "n", 5, 1, 2]), packed("x"), packed(WHOLE)],
    )
    def test_a_strangers_is_a_bad_entry(self, entry: bytes) -> None:
        with pytest.raises(BadEntry):
            read_notice(entry)


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
