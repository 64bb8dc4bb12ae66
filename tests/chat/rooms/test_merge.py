"""Duplicates shown once: what becomes a hole for whom, and that numbers and sums stay right."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from chat.bus.entries import folded
from chat.rooms.merge import MOST_WRITTEN, merged
from chat.wire.batch import batches
from chat.wire.schema import (
    Clear,
    Delete,
    Gap,
    Msg,
    Removed,
    Sequenced,
    Shadowed,
    State,
)

ROOM, EPOCH = "live:42", "k3f9"
Events = Sequence[Sequenced | Gap]


def msg(seq: int, text: str, uid: str = "", kind: str = "") -> Msg:
    uid = uid or f"u{seq}"
    return Msg(
        *(ROOM, seq, f"{EPOCH}-{seq}", uid, uid, text, 1, "top", 25, 1_000 + seq), kind or UNSET
    )


def said(*texts: str) -> list[Msg]:
    return [msg(seq, text) for seq, text in enumerate(texts, 1)]


def shown(events: Events) -> list[tuple[str, int]]:
    """What all see: texts, and how often they were said."""
    return [
        (one.text, 1 if one.times is UNSET else one.times) for one in events if type(one) is Msg
    ]


class TestMerging:
    def test_the_first_stands_for_all(self) -> None:
        found = merged(said("666", "hi", "666", "666"))
        assert shown(found) == [("666", 3), ("hi", 1)]
        assert [type(one) for one in found] == [Msg, Msg, Shadowed, Shadowed]

    def test_who_is_not_shown_is_seen_by_its_sender_as_it_was_said(self) -> None:
        batch = said("666", "666")
        hole = merged(batch)[1]
        assert isinstance(hole, Shadowed)
        assert hole.msg == batch[1]

    @pytest.mark.parametrize(
        "texts", [("ABC", "abc"), ("６６６", "666"), ("h i", " hi "), ("Ⅷ", "viii")]
    )
    def test_what_reads_alike_is_alike(self, texts: tuple[str, str]) -> None:
        assert shown(merged(said(*texts))) == [(texts[0], 2)]

    def test_where_nothing_is_alike_nothing_is_made(self) -> None:
        batch = said("a", "b")
        assert merged(batch) is batch

    @pytest.mark.parametrize("kind", ["gift", "superchat", "system"])
    def test_what_is_more_than_chat_stays_alone(self, kind: str) -> None:
        batch = [msg(1, "666"), msg(2, "666", kind=kind), msg(3, "666", kind=kind)]
        assert shown(merged(batch)) == [("666", 1)] * 3

    def test_what_only_its_sender_sees_is_not_counted(self) -> None:
        batch: list[Sequenced | Gap] = [Shadowed(msg(1, "666")), msg(2, "666"), msg(3, "666")]
        found = merged(batch)
        assert found[0] is batch[0]
        assert shown(found) == [("666", 2)]

    @pytest.mark.parametrize(
        "between",
        [Delete(ROOM, 2, 1, 9), Clear(ROOM, 2, 9), State(ROOM, 2, 9, {}), Gap(ROOM, EPOCH, 2, 1)],
    )
    def test_nothing_is_merged_over_what_ends_a_batch(self, between: Sequenced | Gap) -> None:
        batch = [msg(1, "666"), between, msg(3, "666"), msg(4, "666")]
        assert shown(merged(batch)) == [("666", 1), ("666", 2)]

    def test_over_what_was_taken_back_it_is(self) -> None:
        assert shown(merged([msg(1, "a"), Removed(ROOM, 2), msg(3, "a")])) == [("a", 2)]

    def test_a_flood_of_one_text_is_merged_however_large(self) -> None:
        assert shown(merged(said(*["666"] * 5_000))) == [("666", 5_000)]

    def test_a_crowd_of_pairs_is_not(self) -> None:
        batch = [msg(seq, str(seq // 2)) for seq in range(5_000)]
        assert len(shown(merged(batch))) > 4_900, "but for the few that cost little"

    def test_of_both_the_flood_is(self) -> None:
        pairs = [msg(seq, str(seq // 2)) for seq in range(800)]
        one_user = [msg(seq, "again", uid="u") for seq in range(800, 1_000)]
        found = shown(merged(pairs + one_user))
        assert found[-1] == ("again", 200)
        assert len(found) > 400, "not all pairs, which would cost more than they save"


@st.composite
def events(draw: st.DrawFn) -> list[Sequenced | Gap]:
    found: list[Sequenced | Gap] = []
    for seq in range(1, draw(st.integers(1, 40))):
        one = msg(seq, draw(st.sampled_from(["a", "A", "b", "c"])), draw(st.sampled_from("xyz")))
        kinds: list[Sequenced] = [one, one, one, Shadowed(one), structs.replace(one, kind="gift")]
        ends: list[Sequenced] = [
            Removed(ROOM, seq),
            Delete(ROOM, seq, 1, 9),
            State(ROOM, seq, 9, {}),
        ]
        found.append(draw(st.sampled_from([*kinds, *ends])))
    return found


@given(events())
def test_everybodys_sums_and_everybodys_own_are_kept(batch: list[Sequenced | Gap]) -> None:
    found = merged(batch)
    assert [one.seq for one in found] == [one.seq for one in batch]
    assert sum(times for _, times in shown(found)) == len(shown(batch))
    for was, now in zip(batch, found, strict=True):
        if now is was:
            continue
        assert isinstance(was, Msg)
        assert was.kind is UNSET
        if isinstance(now, Shadowed):
            assert now.msg is was
            first = next(
                one
                for one in reversed(found[: found.index(now)])
                if type(one) is Msg
                and one.times is not UNSET
                and folded(one.text) == folded(was.text)
            )
            assert first.seq < was.seq
        else:
            assert isinstance(now, Msg)
            assert structs.replace(now, times=UNSET) == was


@given(events())
def test_batches_cover_the_same_numbers(batch: list[Sequenced | Gap]) -> None:
    only = [one for one in batch if isinstance(one, Msg | Removed | Shadowed)]
    now = [one for one in merged(only) if isinstance(one, Msg | Removed | Shadowed)]

    def spans(places: list[Msg | Removed | Shadowed]) -> list[tuple[int, int]]:
        return [(one.seq, one.to) for one in batches(ROOM, EPOCH, places)]

    assert spans(now) == spans(only)


@given(st.integers(2, 400), st.integers(1, 200), st.integers(1, 50))
def test_what_is_written_for_senders_alone_is_bounded(many: int, texts: int, users: int) -> None:
    batch = [msg(seq, str(seq % texts), f"u{seq % users}") for seq in range(many)]
    found = merged(batch)
    alone = {one.msg.uid for one in found if isinstance(one, Shadowed)}
    assert len(alone) * len(shown(found)) <= MOST_WRITTEN


@pytest.mark.parametrize("more", [{"data": {"x": 1}}, {"priority": 6}, {"kind": "gift"}])
def test_what_says_more_than_its_text_is_not_merged(more: dict[str, object]) -> None:
    batch = [*said("gg", "gg"), structs.replace(msg(3, "gg"), **more)]
    found = merged(batch)
    assert found[2] == batch[2]
    assert shown(found) == [("gg", 2), ("gg", 1)]
