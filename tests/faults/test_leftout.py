"""tests/faults/leftout.py: what a frame leaves out it says, and only what it may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.audits import audited
from tests.faults.books import NOTHING, Joined, Line, Live, Place, Shed, Taking
from tests.faults.ledger import Reading
from tests.faults.leftout import SURE_S, disagreements
from tests.faults.verdict import Breach, Verdict
from tests.faults.worlds import World, worlds


def crowd(merges: bool = False) -> World:
    """A viewer in a room with a budget, or one that merges; nothing is said yet."""
    world = World()
    world.book.budget, world.book.merges = not merges, merges
    world.join(0)
    return world


def read(world: World, uid: str = "", *controls: Place) -> tuple[Verdict, Reading]:
    reading = Reading(world.book, world.resumes, False, uid, controls)
    reading.read(world.log)
    return audited(world.book, world.log, reading), reading


def merged(world: World, chants: str, *standing: tuple[int, int], shown: str) -> None:
    """A frame of messages, one a letter; equal letters say the same. Of them those are shown that
    `shown` has an x for, and some stand for more."""
    world.publish(len(chants))
    for seq, chant in enumerate(chants, 1):
        world.book.lines[seq] = Line(f"u{seq}", chant=chant)
    places = [(seq, seq) for seq, x in enumerate(shown, 1) if x == "x"]
    world.log.append(Live("e0", 1, len(chants), places, standing))
    world.log.append(Shed(world.now(), 0, 0))


class TestSound:
    @given(worlds(budget=True))
    def test_what_is_said_to_be_left_out_balances(self, world: World) -> None:
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert verdict.owed + verdict.away == len(world.book.acks)

    def test_it_is_counted_by_itself(self) -> None:
        world = crowd()
        world.crowd(3, 2)
        world.crowd(2, 0)
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert (verdict.owed, verdict.delivered, verdict.shed) == (7, 2, 5)

    def test_what_another_shard_chose_otherwise_is_a_repeat(self) -> None:
        world = crowd()
        world.crowd(1, 1)
        world.cut()
        world.come_back(0, 0)
        world.log.append(Live("e0", 1, 2, [(1, 1), (2, 2)]))
        world.log.append(Shed(world.now(), 0, 0))
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert verdict.repeats == 2


class TestPlanted:
    @given(worlds(budget=True), st.sampled_from([-1, 1]))
    def test_another_count_than_there_are_holes(self, world: World, more: int) -> None:
        world.crowd(2, 1)
        shed = world.log[-1]
        assert isinstance(shed, Shed)
        world.log[-1] = shed._replace(left_out=2 + more)
        assert world.verdict().breaches[Breach.SILENT] == 1 + 2  # and both holes are silent

    def test_a_place_that_is_not_the_frames_last(self) -> None:
        world = crowd()
        world.crowd(2, 1)
        shed = world.log[-1]
        assert isinstance(shed, Shed)
        world.log[-1] = shed._replace(seq=2)
        assert world.verdict().breaches == {Breach.WRONG: 1}

    def test_a_room_that_shows_all(self) -> None:
        world = crowd()
        world.crowd(1, 1)
        world.book.budget = False
        assert world.verdict().breaches == {Breach.WRONG: 1, Breach.SILENT: 1}

    @pytest.mark.parametrize(
        ("line", "uid", "controls"),
        [
            (Line("u"), "u", ()),
            (Line("u", above=True), "", ()),
            (Line("u"), "", (Place("e0", 1),)),
        ],
        ids=["its own", "more than chat", "no message"],
    )
    def test_what_is_never_left_out(
        self, line: Line, uid: str, controls: tuple[Place, ...]
    ) -> None:
        world = crowd()
        world.crowd(1, 1)
        assert read(world, uid, *controls)[0].balances is not bool(controls)
        world.book.lines[1] = line
        assert read(world, uid, *controls)[0].breaches == {Breach.SILENT: 1}


class TestMerged:
    def test_one_stands_for_all_who_said_the_same(self) -> None:
        world = crowd(merges=True)
        merged(world, "abab", (1, 2), (2, 2), shown="xx..")
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert (verdict.shed, verdict.merged) == (2, 2)

    def test_who_said_it_sees_its_own_as_well(self) -> None:
        world = crowd(merges=True)
        merged(world, "aaa", (1, 3), shown="xx.")
        verdict, _ = read(world, "u2")
        assert verdict.balances, verdict.notes
        assert read(world, "u3")[0].breaches[Breach.SILENT]
        assert read(world)[0].breaches[Breach.SILENT]

    @pytest.mark.parametrize(
        ("chants", "standing", "shown"),
        [("aab", (1, 3), "x.."), ("aaa", (1, 2), "x.."), ("aaa", (1, 4), "x..")],
        ids=["of another text", "too few", "too many"],
    )
    def test_not_for_others(self, chants: str, standing: tuple[int, int], shown: str) -> None:
        world = crowd(merges=True)
        merged(world, chants, standing, shown=shown)
        assert not world.verdict().balances

    def test_not_in_a_room_that_does_not_merge(self) -> None:
        world = crowd()
        merged(world, "aa", (1, 2), shown="x.")
        assert world.verdict().breaches[Breach.WRONG] == 1


class TestTakenBack:
    def test_a_place_without_a_message_is_accounted_for(self) -> None:
        world = World()
        world.join(0)
        world.publish(2)
        world.log.append(Live("e0", 1, 2, [(1, NOTHING), (2, 2)]))
        assert world.verdict().breaches == {Breach.SILENT: 1}
        world.book.takings.append(Taking(Place("e0", 1), "", world.now()))
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert (verdict.delivered, verdict.taken) == (1, 1)

    def test_so_are_all_of_a_user_up_to_then(self) -> None:
        world = World()
        world.join(0)
        world.publish(1)
        world.book.takings.append(Taking(None, "u", world.now()))
        world.publish(1)
        world.book.lines.update({1: Line("u"), 2: Line("u")})
        world.log.append(Live("e0", 1, 2, [(1, NOTHING), (2, NOTHING)]))
        assert world.verdict().breaches == {Breach.SILENT: 1}

    def test_no_history_has_it_afterwards(self) -> None:
        world = World()
        world.publish(1)
        world.book.takings.append(Taking(Place("e0", 1), "", world.now()))
        world.clock += 10
        world.log.append(Joined(world.now(), world.here, None, False, [(1, 1)]))
        assert world.verdict().breaches == {Breach.WRONG: 1}


class TestChoices:
    def test_are_those_of_who_has_been_there_for_a_while(self) -> None:
        world = crowd()
        world.crowd(1, 0)
        assert read(world)[1].frames.choices == {}
        world.clock += SURE_S
        world.crowd(1, 2)
        chosen = {Place("e0", 2): False, Place("e0", 3): True, Place("e0", 4): True}
        assert read(world)[1].frames.choices == chosen
        world.book.lines[3] = Line("u")
        del chosen[Place("e0", 3)]  # it sees its own in any case
        assert read(world, "u")[1].frames.choices == chosen

    def test_have_to_be_the_same(self) -> None:
        one, two, three = Place("e", 1), Place("e", 2), Place("e", 3)
        alike = {"a": {one: True, two: False}, "b": {two: False, three: True}}
        assert disagreements(alike) == []
        other = alike | {"c": {three: False}}
        assert disagreements(other) == [f"{three} was shown to b, not to c"]
