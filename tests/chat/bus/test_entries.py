"""Stream entries: packed and read, by older and newer versions, and by strangers.

Invariant: whatever bytes a stream has, they are an event every dialect can write or a BadEntry.
"""

import json
import re
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from chat.bus.entries import (
    BadEntry,
    Cleared,
    Deleted,
    Entry,
    Noticed,
    Replaced,
    Ruled,
    Said,
    digest,
    id_order,
    likeness,
    pack,
    read,
    read_broadcast,
)
from chat.wire.batch import shorten
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.schema import Clear, Delete, Msg, Msgs, Notice, Sequenced, Shadowed, State
from tests.chat.rig import read_notice

WHOLE = ["m", "u7", "阿花", "前方高能", 0xFFFFFF, "scroll", 25, 1764000000123]
DELETED, CLEARED = ["d", 3, 1764], ["c", "u7", 1764]
RULED = ["s", {"slow_s": 2.5, "pinned": {"text": "幕"}}, 1764]
PLACES = [WHOLE, DELETED, CLEARED, RULED]
NOTICED = ["n", ["u7"], "阿花", "前方", 1, 1764]


def packed(value: Any) -> bytes:
    entry: bytes = msgpack.packb(value)
    return entry


def said(entry: bytes) -> Msg:
    message = read(entry, "r", "e", 1)
    assert isinstance(message, Msg)
    return message


def with_field(fields: list[Any], at: int, value: Any) -> bytes:
    return packed([*fields[:at], value, *fields[at + 1 :]])


class TestMessages:
    @pytest.mark.parametrize(("kind", "found"), [(None, UNSET), ("gift", "gift")])
    def test_a_message_comes_back_at_its_place(self, kind: str | None, found: Any) -> None:
        entry = pack(Said("u7", "阿花", "前方高能", 1, "top", 25, 1764, kind))
        assert read(entry, "live:42", "k3f9", 12) == Msg(
            "live:42", 12, "k3f9-12", "u7", "阿花", "前方高能", 1, "top", 25, 1764, found
        )

    @given(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=256),
        st.integers(0, 2**53),
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6).map(tuple),
    )
    def test_whoever_says_it(self, avatar: str, level: int, badges: tuple[str, ...]) -> None:
        entry = pack(Said("u", "n", "x", 0, "top", 12, 3, None, avatar, level, badges))
        message = said(entry)
        shown = (message.avatar or "", message.level or 0, message.badges or ())
        assert shown == (avatar, level, badges)
        assert UNSET not in (message.avatar, message.level, message.badges) or not (
            avatar and level and badges
        )

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53))
    def test_whatever_the_text(self, text: str, ts: int) -> None:
        message = said(pack(Said("u", "n", text, 0, "scroll", 12, ts)))
        assert (message.text, message.ts) == (text, ts)

    def test_what_a_backend_says_of_it(self) -> None:
        entry = Said(
            "u", "n", "x", 0, "top", 12, 3, priority=0, until=9_000, data={"a": [1.0, None]}
        )
        message = said(pack(entry))
        assert (message.priority, message.until, message.data) == (0, 9_000, {"a": [1.0, None]})
        usual = said(pack(structs.replace(entry, priority=5, until=0, data=None)))
        assert (usual.priority, usual.until, usual.data) == (UNSET, UNSET, UNSET)

    def test_its_data_is_part_of_what_its_id_is_for(self) -> None:
        entry = Said("u", "n", "x", 0, "top", 12, 3)
        some: tuple[Any, ...] = (None, 0, 1, {}, [])
        digests = {digest(pack(structs.replace(entry, data=data))) for data in some}
        assert len(digests) == 5
        assert digest(pack(structs.replace(entry, priority=9, until=5))) in digests

    @pytest.mark.parametrize(
        "data", [b"bytes", {1: 2}, msgpack.Timestamp(1), float("nan"), "x" * 5_000]
    )
    def test_data_that_is_no_json_of_ours_is_a_bad_entry(self, data: Any) -> None:
        with pytest.raises(BadEntry):
            read(packed([*WHOLE, None, "", 0, [], False, 5, 0, data]), "r", "e", 1)

    def test_an_older_entry_lacks_what_came_later(self) -> None:
        assert said(packed(WHOLE)).kind is UNSET

    def test_a_newer_entry_has_more(self) -> None:
        newer = packed([*WHOLE, "gift", "", 3, ["fan"], False, 5, 0, None, {"more": 3}, [1, 2]])
        assert said(newer).kind == "gift"
        assert said(newer).badges == ("fan",)


class TestOtherKinds:
    @pytest.mark.parametrize(
        ("entry", "event"),
        [
            (Deleted(3, 1764), Delete("r", 9, 3, 1764)),
            (Cleared(None, 1764), Clear("r", 9, 1764)),
            (Cleared("u7", 1764), Clear("r", 9, 1764, "u7")),
            (Ruled({"slow_s": 2.5}, 1764), State("r", 9, 1764, {"slow_s": 2.5})),
            (Ruled({}, 1764), State("r", 9, 1764, {})),
        ],
    )
    def test_each_takes_a_place(self, entry: Entry, event: Sequenced) -> None:
        assert read(pack(entry), "r", "e", 9) == event

    @pytest.mark.parametrize(
        ("entry", "fields"),
        [
            (Said("u7", "阿花", "前方高能", 1, "top", 25, 9), ["m", "u7", "阿花", "前方高能", 1,
                                                               "top", 25, 9, None, "", 0, [],
                                                               False, 5, 0, None]),
            (Deleted(3, 9), ["d", 3, 9]),
            (Cleared(None, 9), ["c", None, 9]),
            (Ruled({"slow_s": 2}, 9), ["s", {"slow_s": 2}, 9]),
            (Noticed(None, "n", "hi", 1, 9), ["n", None, "n", "hi", 1, 9, None]),
        ],
    )  # fmt: skip
    def test_on_the_stream(self, entry: Entry | Noticed, fields: list[Any]) -> None:
        assert msgpack.unpackb(pack(entry)) == fields

    def test_what_is_shadowed_is_no_message_to_who_does_not_ask(self) -> None:
        said = Said("u7", "u7", "psst", 1, "top", 25, 9, shadowed=True)
        place = read(pack(said), "r", "e", 9)
        assert isinstance(place, Shadowed)
        assert (place.room, place.seq, place.ts, place.msg.text) == ("r", 9, 9, "psst")
        assert digest(pack(said)) == digest(pack(structs.replace(said, shadowed=False)))

    @pytest.mark.parametrize("fields", [DELETED, CLEARED, RULED])
    def test_a_newer_entry_has_more(self, fields: list[Any]) -> None:
        known = read(packed(fields), "r", "e", 9)
        assert read(packed([*fields, "later", {"more": [1]}]), "r", "e", 9) == known


class TestStrangers:
    @pytest.mark.parametrize("fields", PLACES, ids=lambda fields: fields[0])
    def test_an_entry_cut_short_is_a_bad_one(self, fields: list[Any]) -> None:
        entry = packed(fields)
        wrong = [entry[:size] for size in range(len(entry))] + [entry + b"x"]
        wrong += [packed(fields[:count]) for count in range(len(fields))]
        for each in wrong:
            with pytest.raises(BadEntry):
                read(each, "r", "e", 1)

    @pytest.mark.parametrize("fields", PLACES, ids=lambda fields: fields[0])
    def test_so_is_one_of_an_unknown_kind_or_of_none(self, fields: list[Any]) -> None:
        kinds: list[Any] = ["z", "", "M", "mm", 1, None, b"m", ["m"], {}, msgpack.ExtType(4, b"m")]
        for kind in kinds:
            with pytest.raises(BadEntry):
                read(with_field(fields, 0, kind), "r", "e", 1)
        with pytest.raises(BadEntry):
            read(packed(fields[1:]), "r", "e", 1)

    @pytest.mark.parametrize(
        "entry",
        [packed(WHOLE).replace("前".encode(), b"\xff\xff\xff"),
         packed(WHOLE).replace("花".encode(), b"\xed\xa0\x80"),  # a surrogate
         packed(CLEARED).replace(b"u7", b"\xc3("),
         packed(RULED).replace("幕".encode(), b"\xff\xff\xff"),
         packed(RULED).replace(b"slow_s", b"slow_\xff")],
    )  # fmt: skip
    def test_so_is_one_that_is_not_utf8(self, entry: bytes) -> None:
        with pytest.raises(BadEntry):
            read(entry, "r", "e", 1)

    @pytest.mark.parametrize(
        "entry",
        [b"", b"\xc1", b"hello", packed(None), packed({}), packed([]), packed([1]), packed("m"),
         b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
         with_field(WHOLE, 1, 1), with_field(WHOLE, 4, "red"), with_field(WHOLE, 3, b"bytes"),
         with_field(WHOLE, 3, msgpack.ExtType(4, b"x")), with_field(WHOLE, 7, None),
         with_field(WHOLE, 6, 2.5), with_field(WHOLE, 5, True), packed([*WHOLE, 5]),
         with_field(DELETED, 1, "3"), with_field(DELETED, 2, None), with_field(CLEARED, 1, 7),
         with_field(RULED, 1, []), with_field(RULED, 1, None), with_field(RULED, 1, {1: 2}),
         packed(["n", None, "sys", "hi", 1, 2])],
    )  # fmt: skip
    def test_so_is_whatever_else_is_none_of_ours(self, entry: bytes) -> None:
        with pytest.raises(BadEntry):
            read(entry, "r", "e", 1)

    @pytest.mark.parametrize(
        "rule",
        [msgpack.ExtType(5, b"x"), msgpack.Timestamp(1), b"bytes", float("nan"), float("inf"),
         {1: 2}, {None: 1}, {True: 1}, {1.5: 1}, {b"x": 1}, {(1, 2): 3}, [{"deep": {1: 2}}]],
    )  # fmt: skip
    def test_so_are_rules_that_not_every_dialect_can_write(self, rule: Any) -> None:
        with pytest.raises(BadEntry):
            read(with_field(RULED, 1, {"rule": rule}), "r", "e", 1)

    @given(st.binary(max_size=60))
    @example(packed(RULED))
    @example(packed(["s", {"a": msgpack.ExtType(5, b"x")}, 1]))
    def test_any_bytes_are_an_event_for_all_or_a_bad_entry(self, entry: bytes) -> None:
        with suppress(BadEntry):
            event = Msgs("r", "e", 1, 1, shorten([read(entry, "r", "e", 1)], 0))
            assert msgpack.unpackb(MSGPACK.event(event)) == json.loads(JSON.event(event))
        with suppress(BadEntry):
            read_notice(entry)


class TestDigests:
    def test_when_and_by_whom_do_not_count(self) -> None:
        again = Said("u8", "other", "前方高能", 0xFFFFFF, "scroll", 25, 5)
        assert digest(pack(again)) == digest(packed(WHOLE))
        assert digest(packed([*WHOLE, None, "newer"])) == digest(packed(WHOLE))

    @pytest.mark.parametrize(("at", "value"), [(3, "x"), (4, 1), (5, "top"), (6, 26)])
    def test_all_that_is_seen_does(self, at: int, value: Any) -> None:
        assert digest(with_field(WHOLE, at, value)) != digest(packed(WHOLE))

    def test_so_does_what_kind_it_is(self) -> None:
        assert digest(packed([*WHOLE, "gift"])) != digest(packed(WHOLE))

    @pytest.mark.parametrize(
        ("place", "other"),
        [(DELETED, 4), (CLEARED, "u8"), (CLEARED, None), (RULED, {}), (RULED, {"slow_s": 2})],
    )
    def test_of_every_entry(self, place: list[Any], other: Any) -> None:
        assert digest(with_field(place, 2, 99)) == digest(packed(place))
        assert digest(with_field(place, 1, other)) != digest(packed(place))

    def test_a_strangers_is_a_bad_entry(self) -> None:
        with pytest.raises(BadEntry):
            digest(b"hello")


class TestNotices:
    def test_to_everyone(self) -> None:
        noticed = read_notice(pack(Noticed(None, "sys", "hi", 1, 2)))
        assert noticed.users is None
        assert noticed.event("5-0") == Notice("5-0", "all", "sys", "hi", 1, 2)

    def test_to_users(self) -> None:
        noticed = read_notice(pack(Noticed(["u1", "guest:x"], "sys", "hi", 1, 2, "gift")))
        assert noticed.users == ["u1", "guest:x"]
        assert noticed.event("5-0") == Notice("5-0", "user", "sys", "hi", 1, 2, "gift")

    def test_what_is_for_shards_is_told_apart(self) -> None:
        control = Replaced(["k3j2h1g0-1f-2a"])
        assert read_broadcast(pack(control)) == control
        with pytest.raises(BadEntry):
            read(pack(control), "r", "e", 1)

    def test_an_older_one_lacks_what_came_later_and_a_newer_one_has_more(self) -> None:
        assert read_notice(packed(NOTICED)).kind is None
        assert read_notice(packed([*NOTICED, "gift", {"more": 1}])).kind == "gift"

    @pytest.mark.parametrize(
        "entry",
        [b"", packed("x"), packed([]), packed(["n", 1]), packed(NOTICED[1:]), *map(packed, PLACES),
         packed(NOTICED[:5]), packed(NOTICED)[:-1], packed(NOTICED) + b"x",
         with_field(NOTICED, 0, "N"), with_field(NOTICED, 1, "u7"), with_field(NOTICED, 1, [7]),
         with_field(NOTICED, 3, 5), packed([*NOTICED, 5]),
         packed(NOTICED).replace("前".encode(), b"\xff\xff\xff")],
    )  # fmt: skip
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


class TestLikeness:
    def like(self, text: str) -> str:
        return likeness(pack(Said("u", "n", text, 0, "scroll", 25, 1)))

    @pytest.mark.parametrize("other", ["HELLO  World", "helloworld", "ｈｅｌｌｏ　ｗｏｒｌｄ"])
    def test_case_width_and_spacing_make_no_other_text(self, other: str) -> None:
        assert self.like(other) == self.like("Hello world")

    @pytest.mark.parametrize("other", ["hello word", "hello world!", "héllo world", "世界"])
    def test_other_characters_do(self, other: str) -> None:
        assert self.like(other) != self.like("Hello world")

    def test_who_when_and_how_make_no_difference(self) -> None:
        other = Said("v", "m", "x", 7, "top", 12, 99, "gift", "a", 3, ("b",))
        assert likeness(pack(other)) == self.like("x")

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_a_text_of_any_kind_is_like_itself_folded(self, text: str) -> None:
        assert re.fullmatch("[0-9a-f]{16}", self.like(text))
        assert self.like(f" {text} ") == self.like(text)

    def test_what_is_no_message_of_any_text_is_like_nothing(self) -> None:
        assert self.like("") == ""
        assert likeness(packed(CLEARED)) == likeness(packed(RULED)) == ""
        with pytest.raises(BadEntry):
            likeness(b"hello")
