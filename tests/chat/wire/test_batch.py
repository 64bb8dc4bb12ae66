"""Batches and histories written short, and written out again."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.wire.batch import FRAME_BYTES, batches, default_name, expand, shorten
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.schema import (
    NORMAL_SIZE,
    SCROLL,
    WHITE,
    Clear,
    Delete,
    Joined,
    Message,
    Msg,
    Msgs,
    Removed,
    Sequenced,
    Shadowed,
    State,
)
from tests.whole import whole

ROOM, EPOCH = "live:42", "k3f9x2"
LOOK = (WHITE, SCROLL, NORMAL_SIZE)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
UIDS = st.sampled_from(["u7", "guest:4pkus34bfa8cfc37711b3", "guest:x"]) | TEXT


@st.composite
def messages(draw: st.DrawFn, seq: int) -> Msg:
    uid = draw(UIDS)
    return Msg(
        *(ROOM, seq, f"{EPOCH}-{seq}", uid, draw(st.just(default_name(uid)) | TEXT), draw(TEXT)),
        draw(st.just(WHITE) | st.integers(0, 0xFFFFFF)),
        draw(st.sampled_from(["scroll", "top", "bottom", "reverse"])),
        draw(st.just(NORMAL_SIZE) | st.integers(12, 64)),
        draw(st.integers(0, 2**53)),
        UNSET if draw(st.booleans()) else "gift",
        draw(st.just(UNSET) | st.just("https://a.example/7.png")),
        draw(st.just(UNSET) | st.integers(1, 9_999)),
        draw(st.just(UNSET) | st.lists(TEXT, min_size=1, max_size=3).map(tuple)),
        draw(st.just(UNSET) | st.integers(2, 1_000)),
    )


@st.composite
def places(draw: st.DrawFn) -> list[Sequenced]:
    """Places in order, maybe with holes between them."""
    found: list[Sequenced] = []
    seq = draw(st.integers(0, 2**40))
    for _ in range(draw(st.integers(0, 12))):
        seq += draw(st.sampled_from([1, 1, 1, 2, 9]))
        ts = draw(st.integers(0, 2**53))
        found.append(
            draw(
                messages(seq)
                | st.builds(Delete, st.just(ROOM), st.just(seq), st.integers(0, seq), st.just(ts))
                | st.builds(Clear, st.just(ROOM), st.just(seq), st.just(ts), st.just(UNSET) | UIDS)
                | st.just(State(ROOM, seq, ts, {"slow_s": 2}))
                | st.just(Removed(ROOM, seq))
            )
        )
    return found


def without_ts(place: Sequenced) -> Any:
    """A place as a client has it: the time of what was taken back is not told."""
    if isinstance(place, Removed):
        return {"t": "removed", "room": place.room, "seq": place.seq}
    return msgspec.to_builtins(place)


def crossed(written: list[Message]) -> list[Message]:
    """What a client reads of it."""
    return msgspec.json.decode(msgspec.json.encode(written), type=list[Message])


def plain(events: Sequence[Any]) -> Any:
    """Events as values that JSON has."""
    return msgspec.json.decode(msgspec.json.encode(events))


class TestInverse:
    @given(places())
    def test_a_history_comes_back_whole(self, written: list[Sequenced]) -> None:
        assert list(expand(ROOM, EPOCH, crossed(shorten(written, None)))) == written

    @given(places().filter(bool))
    def test_a_batch_comes_back_whole(self, written: list[Sequenced]) -> None:
        first = written[0].seq
        short = crossed(shorten(written, first - 1))
        assert (short[0].seq is UNSET) is (short[0].removed is UNSET)
        assert list(expand(ROOM, EPOCH, short, first)) == written

    @given(places().filter(bool), st.integers(0, 3))
    def test_it_may_begin_with_places_that_are_not_for_everyone(
        self, written: list[Sequenced], hidden: int
    ) -> None:
        first = written[0].seq - hidden
        short = crossed(shorten(written, first - 1))
        assert (short[0].seq is UNSET) is (hidden == 0 and short[0].removed is UNSET)
        assert list(expand(ROOM, EPOCH, short, first)) == written

    @given(places())
    def test_numbers_are_written_where_they_do_not_follow(self, written: list[Sequenced]) -> None:
        seqs = [place.seq for place in written]
        told = [UNSET if seq == last + 1 else seq for last, seq in pairwise([-1, *seqs])]
        short = shorten(written, -1)
        assert [one.seq for one in short if not one.removed] == [
            seq for seq, one in zip(told, short, strict=True) if not one.removed
        ]

    def test_of_what_was_taken_back_only_the_place_is_written(self) -> None:
        [short] = shorten([Removed(ROOM, 5, 1764000000123)], 4)
        assert msgspec.to_builtins(short) == {"seq": 5, "removed": True}
        [batch] = batches(ROOM, EPOCH, [Removed(ROOM, 5, 1764000000123)])
        assert (batch.seq, batch.to, len(batch.m)) == (5, 5, 1)

    @given(st.data())
    def test_independent_code_reads_the_same(self, data: st.DataObject) -> None:
        some: list[Msg] = [
            data.draw(messages(seq)) for seq in range(5, 5 + data.draw(st.integers(1, 5)))
        ]
        frame: list[dict[str, Any]] = msgpack.unpackb(
            MSGPACK.payload([MSGPACK.event(batch) for batch in batches(ROOM, EPOCH, some)])
        )
        assert list(whole(frame)) == plain(some)

    @given(places())
    def test_independent_code_reads_histories_the_same(self, written: list[Sequenced]) -> None:
        answer = Joined(ROOM, EPOCH, 2**53, 1, False, shorten(written, None))
        [found] = whole(msgpack.unpackb(MSGPACK.payload([MSGPACK.event(answer)])))
        assert found["history"] == plain([without_ts(place) for place in written])

    def test_what_a_newer_server_adds_is_passed_over(self) -> None:
        short = [
            *(Message(seq=3, t="poll", ts=1), Message(uid="u", text="hi", ts=2)),
            *(Message(t="delete", ts=1), Message(text="nobody said this", ts=1)),
            Message(uid="u", text="ho", ts=2),
        ]
        found = list(expand(ROOM, EPOCH, short))
        assert [(one.seq, one.text) for one in found if isinstance(one, Msg)] == [
            (4, "hi"),
            (7, "ho"),
        ]
        assert len(found) == 2


class TestHoles:
    """Shadowed messages: they have a place, and are not written."""

    @given(st.data())
    def test_a_batch_covers_them_and_says_the_number_behind_each(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 8))
        some = [data.draw(messages(seq)) for seq in range(5, 5 + count)]
        hidden = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
        places = [Shadowed(one) if hide else one for one, hide in zip(some, hidden, strict=True)]
        [batch] = batches(ROOM, EPOCH, places)
        shown = [one for one, hide in zip(some, hidden, strict=True) if not hide]
        assert (batch.seq, batch.to) == (5, 4 + count)
        assert list(expand(ROOM, EPOCH, crossed(batch.m), batch.seq)) == shown
        seqs = [one.seq for one in shown]
        told = [UNSET if seq == last + 1 else seq for last, seq in pairwise([4, *seqs])]
        assert [one.seq for one in batch.m] == told
        history = crossed(shorten(places, None))
        assert list(expand(ROOM, EPOCH, history)) == shown

    def test_no_dialect_can_write_one(self) -> None:
        msg = Msg(ROOM, 1, f"{EPOCH}-1", "u", "u", "psst", *LOOK, 5)
        for dialect in (JSON, MSGPACK):
            with pytest.raises(TypeError):
                dialect.event(Shadowed(msg))  # type: ignore[arg-type]

    def test_many_of_them_are_batches_without_a_gap(self) -> None:
        some = [Shadowed(Msg(ROOM, seq, "", "u", "u", "", *LOOK, 5)) for seq in range(1, 1_001)]
        found = list(batches(ROOM, EPOCH, some))
        assert (found[0].seq, found[-1].to) == (1, 1_000)
        assert [batch.seq for batch in found[1:]] == [batch.to + 1 for batch in found[:-1]]


class TestDefaults:
    @pytest.mark.parametrize(
        ("uid", "name"),
        [("u7", "u7"), ("guest:4pkus34bfa8cfc37711b3", "guest-11b3"), ("guestbook", "guestbook")],
    )
    def test_a_name_is_known_by_the_uid(self, uid: str, name: str) -> None:
        assert default_name(uid) == name
        message = Msg(ROOM, 1, f"{EPOCH}-1", uid, name, "hi", WHITE, SCROLL, NORMAL_SIZE, 5)
        [short] = shorten([message], 0)
        assert msgspec.to_builtins(short) == {"uid": uid, "text": "hi", "ts": 5}


class TestBatches:
    @given(st.lists(st.integers(0, FRAME_BYTES), max_size=12))
    def test_all_messages_come_in_order_in_frames_that_fit(self, lengths: list[int]) -> None:
        some = [
            Msg(ROOM, i, f"{EPOCH}-{i}", "u", "u", "x" * length, WHITE, SCROLL, NORMAL_SIZE, 5)
            for i, length in enumerate(lengths, 1)
        ]
        found = list(batches(ROOM, EPOCH, some))
        told = [one for batch in found for one in expand(ROOM, EPOCH, batch.m, batch.seq)]
        assert told == some
        assert [batch.seq for batch in found[1:]] == [batch.to + 1 for batch in found[:-1]]
        for batch in found:
            assert batch.m[0].seq is UNSET
            assert len(batch.m) == 1 or len(JSON.event(batch)) <= FRAME_BYTES + 200

    def test_one_message_always_fits(self) -> None:
        some = [
            Msg(ROOM, seq, f"{EPOCH}-{seq}", "u", "u", "幕" * FRAME_BYTES, *LOOK, 5)
            for seq in (1, 2)
        ]
        assert [(batch.seq, batch.to) for batch in batches(ROOM, EPOCH, some)] == [(1, 1), (2, 2)]
        assert list(batches(ROOM, EPOCH, [])) == []

    @pytest.mark.parametrize(("text", "count"), [("幕" * 2_000, 100), ("x", 5_000)])
    def test_bytes_count_not_characters_and_fields_do_too(self, text: str, count: int) -> None:
        some = [
            Msg(ROOM, seq, "", "guest:k3j2h1g01234567890abc", "n", text, *LOOK, 1764000000123)
            for seq in range(1, count + 1)
        ]
        found = list(batches(ROOM, EPOCH, some))
        assert sum(len(batch.m) for batch in found) == count
        sizes = [len(JSON.event(batch)) for batch in found]
        assert max(sizes) <= FRAME_BYTES
        assert min(sizes[:-1]) >= 0.6 * FRAME_BYTES

    def test_avatars_and_badges_count_too(self) -> None:
        avatar, badges = "https://a.example/".ljust(256, "x"), ("徽" * 24,) * 6
        some = [
            Msg(ROOM, i, "", "u7", "n", "x", *LOOK, 1764000000123, UNSET, avatar, 9_999, badges)
            for i in range(1, 500)
        ]
        found = list(batches(ROOM, EPOCH, some))
        assert sum(len(batch.m) for batch in found) == len(some)
        assert max(len(JSON.event(batch)) for batch in found) <= FRAME_BYTES

    @pytest.mark.parametrize(
        ("uid", "name"), [("guest:k3j2h1g01234567890abc", "guest-0abc"), ("u12345", "alice")]
    )
    def test_a_line_costs_a_hundred_bytes(self, uid: str, name: str) -> None:
        some = [
            Msg(ROOM, seq, "", uid, name, "x" * 20, WHITE, SCROLL, NORMAL_SIZE, 1764000000123)
            for seq in range(100_000, 100_016)
        ]
        events: list[Msgs] = list(batches(ROOM, EPOCH, some))
        assert len(JSON.payload([JSON.event(one) for one in events])) <= 16 * 100
        assert len(MSGPACK.payload([MSGPACK.event(one) for one in events])) <= 16 * 80
