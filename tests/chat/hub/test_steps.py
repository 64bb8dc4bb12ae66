"""Steps for members: everything is covered once, and holes are where something is hidden."""

from hypothesis import given
from hypothesis import strategies as st

from chat.hub.steps import Flush
from chat.rooms.room import Room
from chat.wire.batch import FRAME_BYTES, expand
from chat.wire.schema import (
    Delete,
    Gap,
    LeftOut,
    Msg,
    Msgs,
    Online,
    Removed,
    Sequenced,
    Shadowed,
    State,
)

ROOM, EPOCH = "r", "e"
KINDS = ["say"] * 4 + ["left out"] * 4 + ["shadow", "delete", "state", "removed", "online"]
TALK = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.sampled_from("abc"), st.sampled_from([1, 1, 1, FRAME_BYTES // 2])
    ),
    max_size=25,
)


def room() -> Room:
    found = Room(ROOM, 0, 1, 3)
    found.position.load(EPOCH, 0, b"0-0")
    return found


def message(seq: int, uid: str, length: int = 1) -> Msg:
    return Msg(ROOM, seq, f"{EPOCH}-{seq}", uid, uid, "x" * length, 0, "top", 12, 1_000 + seq)


def events_of(talk: list[tuple[str, str, int]]) -> list[Sequenced | Gap | Online]:
    found: list[Sequenced | Gap | Online] = []
    seq = 0
    for kind, uid, length in talk:
        if kind == "online":
            found.append(Online(ROOM, 3))
            continue
        seq += 1
        said = message(seq, uid, length)
        made: dict[str, Sequenced] = {
            "say": said,
            "left out": LeftOut(said),
            "shadow": Shadowed(said),
            "delete": Delete(ROOM, seq, 1, 1_000 + seq),
            "state": State(ROOM, seq, 1_000 + seq, {}),
            "removed": Removed(ROOM, seq, 1_000 + seq),
        }
        found.append(made[kind])
    return found


@given(TALK, st.sampled_from(["", "a", "b"]))
def test_all_numbers_are_covered_and_who_said_it_is_shown_it(
    talk: list[tuple[str, str, int]], uid: str
) -> None:
    events = events_of(talk)
    here = left_out = 0
    shown: list[object] = []
    for step in Flush(room(), events).steps(uid):
        event = step.event
        if isinstance(event, Online):
            shown.append(event)
            continue
        assert isinstance(event, Msgs | Delete | State)
        assert event.seq == here + 1
        if isinstance(event, Msgs):
            here = event.to
            shown += expand(ROOM, EPOCH, event.m, event.seq)
        else:
            here = event.seq
            shown.append(event)
        left_out += step.left_out
        assert step.seq == here
        assert step.place == f"{EPOCH}-{here}-{1_000 + here}"
    hidden = [one for one in events if isinstance(one, Shadowed | LeftOut)]
    others = [one for one in hidden if one.msg.uid != uid]
    assert here == sum(kind != "online" for kind, _, _ in talk)
    assert left_out == sum(isinstance(one, LeftOut) for one in others)
    expected = [
        one.msg if isinstance(one, Shadowed | LeftOut) else one
        for one in events
        if one not in others
    ]
    assert [_without_ts(one) for one in shown] == [_without_ts(one) for one in expected]


def _without_ts(one: object) -> object:
    return Removed(one.room, one.seq) if isinstance(one, Removed) else one


def test_hidden_ones_are_known_by_who_said_them() -> None:
    events = events_of([("left out", "a", 1), ("say", "b", 1), ("shadow", "a", 1)])
    hidden = Flush(room(), events).hidden
    assert {uid: [one.seq for one in some] for uid, some in hidden.items()} == {"a": [1, 3]}


def test_a_count_is_split_with_its_batches() -> None:
    big = FRAME_BYTES * 2 // 3
    talk = [("say", "a", big), ("left out", "b", 1), ("say", "a", big), ("left out", "b", 1)]
    steps = Flush(room(), events_of([*talk, ("left out", "c", 1)])).steps()
    found = [(one.event.seq, one.event.to, one.left_out) for one in steps]  # type: ignore[union-attr]
    assert found == [(1, 1, 0), (2, 5, 3)]


def test_nobody_knows_what_stood_where_something_is_lost() -> None:
    [step] = Flush(room(), [Gap(ROOM, "f", 7, 2)]).steps()
    assert (step.place, step.seq) == ("f-7", 7)
    [step] = Flush(room(), [Online(ROOM, 2)]).steps()
    assert step[1:] == ("", 0, 0)
    assert Flush(room(), []).steps() == []
