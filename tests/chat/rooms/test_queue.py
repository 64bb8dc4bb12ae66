"""Whose turn it is to be answered, with backlogs as numbers."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat.rooms.queue import JoinQueue

MOST = 100


@dataclass(eq=False)
class Waiter:
    fd: int
    room: str = "r"
    left: bool = False
    ready: bool = True


class Desk:
    """A queue, and what its connections have not taken yet."""

    def __init__(self) -> None:
        self.backlogs: dict[int, int] = {}
        self.queue: JoinQueue[Waiter] = JoinQueue(lambda fd: self.backlogs.get(fd, 0), MOST)

    def add(self, *fds: int) -> list[Waiter]:
        waiters = [Waiter(fd) for fd in fds]
        for waiter in waiters:
            self.queue.add(waiter)
        return waiters

    def answer(self, waiter: Waiter, unread: int = 0, tick: int = 0) -> None:
        """It is sent its answer, of which the kernel does not take all."""
        self.backlogs[waiter.fd] = unread
        self.queue.answered(waiter, tick)

    def read(self, fd: int) -> None:
        """The connection takes all there is."""
        self.backlogs.pop(fd, None)
        self.queue.unblocked(fd)


class TestTurns:
    def test_connections_take_turns_and_each_has_its_order(self) -> None:
        desk = Desk()
        a1, a2, b1, a3 = desk.add(1, 1, 2, 1)
        assert desk.queue.take(9) == [a1, b1]
        assert desk.queue.take(9) == []
        desk.answer(a1)
        desk.answer(b1)
        assert desk.queue.take(9) == [a2]
        desk.answer(a2)
        assert desk.queue.take(9) == [a3]

    def test_who_has_not_read_its_answer_waits_until_it_has(self) -> None:
        desk = Desk()
        first, second = desk.add(1, 1)
        desk.queue.take(9)
        desk.answer(first, unread=50)
        assert desk.queue.take(9) == []
        desk.read(1)
        assert desk.queue.take(9) == [second]

    def test_nor_is_one_answered_who_is_slow_anyway(self) -> None:
        desk = Desk()
        desk.backlogs[1] = 5
        [waiter] = desk.add(1)
        assert (desk.queue.due, desk.queue.take(9)) == (False, [])
        desk.read(1)
        assert desk.queue.take(9) == [waiter]

    def test_or_became_so_meanwhile(self) -> None:
        desk = Desk()
        slow, other = desk.add(1, 2)
        desk.backlogs[1] = 5
        assert desk.queue.take(9) == [other]
        desk.read(1)
        assert desk.queue.take(9) == [slow]

    def test_as_many_as_are_asked_for(self) -> None:
        desk = Desk()
        waiters = desk.add(*range(10))
        assert desk.queue.take(4) == waiters[:4]
        assert desk.queue.take(99) == waiters[4:]

    def test_what_cannot_be_answered_now_is_next(self) -> None:
        desk = Desk()
        a, b, c, d = desk.add(1, 2, 3, 1)
        assert desk.queue.take(2) == [a, b]
        desk.queue.put_back([a, b])
        assert desk.queue.take(9) == [a, b, c]
        desk.answer(a)
        assert desk.queue.take(9) == [d]

    def test_a_connection_that_waits_for_nothing_is_clear(self) -> None:
        desk = Desk()
        assert desk.queue.clear(1)
        [waiter] = desk.add(1)
        assert (desk.queue.clear(1), desk.queue.length(1)) == (False, 1)
        desk.queue.take(1)
        assert not desk.queue.clear(1)
        desk.answer(waiter, unread=1)
        assert not desk.queue.clear(1)
        desk.read(1)
        assert desk.queue.clear(1)


class TestReady:
    def test_who_is_not_holds_up_those_behind_it_and_nobody_else(self) -> None:
        desk = Desk()
        first, other = Waiter(1, ready=False), Waiter(2)
        desk.queue.add(first)
        [second] = desk.add(1)
        desk.queue.add(other)
        assert desk.queue.take(9) == [other]
        assert (desk.queue.due, desk.queue.length(1)) == (False, 2)
        first.ready = True
        desk.queue.look_at(1)
        assert desk.queue.take(9) == [first]
        desk.answer(first)
        assert desk.queue.take(9) == [second]

    def test_who_is_so_no_more_is_not_taken(self) -> None:
        desk = Desk()
        [waiter] = desk.add(1)
        waiter.ready = False
        assert desk.queue.take(9) == []
        waiter.ready = True
        desk.queue.look_at(1)
        assert desk.queue.take(9) == [waiter]

    def test_those_behind_go_on_when_it_leaves(self) -> None:
        desk = Desk()
        first = Waiter(1, ready=False)
        desk.queue.add(first)
        [second] = desk.add(1)
        assert desk.queue.leave(1, lambda one: one is first) == [first]
        assert desk.queue.take(9) == [second]

    def test_it_is_here_until_it_is_answered_or_leaves(self) -> None:
        desk = Desk()
        [waiter] = desk.add(1)
        assert desk.queue.holds(1, lambda one: one is waiter)
        assert not desk.queue.holds(2, lambda one: True)
        desk.queue.take(9)
        assert desk.queue.holds(1, lambda one: one is waiter)
        desk.queue.leave(1, lambda one: True)
        assert not desk.queue.holds(1, lambda one: True)


class TestTheSum:
    def test_beyond_it_all_wait_and_then_go_on_in_order(self) -> None:
        desk = Desk()
        waiters = desk.add(1, 2, 3, 4)
        for waiter in desk.queue.take(2):
            desk.answer(waiter, unread=60)
        assert (desk.queue.outstanding, desk.queue.affords, desk.queue.due) == (120, False, False)
        assert desk.queue.take(9) == []
        desk.read(2)
        assert desk.queue.outstanding == 60
        assert desk.queue.take(9) == waiters[2:]

    def test_who_closes_gives_its_share_back(self) -> None:
        desk = Desk()
        desk.add(1, 2)
        [waiter] = desk.queue.take(1)
        desk.answer(waiter, unread=MOST)
        assert not desk.queue.due
        desk.queue.close(1)
        assert (desk.queue.outstanding, desk.queue.due) == (0, True)

    def test_who_keeps_others_waiting_for_long_is_named(self) -> None:
        desk = Desk()
        early, late, _ = desk.add(1, 2, 3)
        desk.queue.take(2)
        desk.answer(early, unread=60, tick=10)
        assert desk.queue.hoarders(99) == []
        desk.answer(late, unread=60, tick=20)
        assert desk.queue.hoarders(10) == []
        assert desk.queue.hoarders(11) == [1]
        assert desk.queue.hoarders(21) == [1, 2]

    def test_but_not_when_nobody_waits(self) -> None:
        desk = Desk()
        [waiter] = desk.add(1)
        desk.queue.take(1)
        desk.answer(waiter, unread=MOST, tick=10)
        assert desk.queue.hoarders(99) == []


class TestLeaving:
    def test_what_is_taken_back_is_not_answered(self) -> None:
        desk = Desk()
        desk.backlogs[1] = 5
        a, b = Waiter(1, "a"), Waiter(1, "b")
        desk.queue.add(a)
        desk.queue.add(b)
        assert desk.queue.leave(1, lambda waiter: waiter.room == "a") == [a]
        assert desk.queue.leave(2, lambda waiter: True) == []
        desk.read(1)
        assert desk.queue.take(9) == [b]
        assert desk.queue.leave(1, lambda waiter: waiter.room == "b") == []
        assert b.left

    def test_the_last_one_leaves_nothing(self) -> None:
        desk = Desk()
        [waiter] = desk.add(1)
        assert desk.queue.leave(1, lambda waiter: True) == [waiter]
        assert desk.queue.take(9) == []
        assert desk.queue.clear(1)

    def test_a_descriptor_given_out_again_knows_nothing_of_its_last_owner(self) -> None:
        desk = Desk()
        taken, waits = desk.add(1, 1)
        desk.queue.take(1)
        assert list(desk.queue.close(1)) == [waits]
        assert taken.left
        [new] = desk.add(1)
        desk.queue.answered(taken, 0)
        desk.queue.put_back([taken])
        assert desk.queue.take(9) == [new]


class Crowd(RuleBasedStateMachine):
    """Connections that join, read, leave and close as they like.

    Invariant: each is answered in its order, when it is ready, and only with an empty backlog; the
    sum is that of what was given and not taken; whoever could be answered is due, as long as the
    sum allows.
    """

    FDS = st.integers(0, 4)

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.lines: dict[int, list[Waiter]] = {}
        self.taken: dict[int, Waiter] = {}
        self.given: dict[int, int] = {}

    @rule(fd=FDS)
    def joins(self, fd: int) -> None:
        self.lines.setdefault(fd, []).extend(self.desk.add(fd))

    @rule(fd=FDS)
    def joins_what_is_not_there_yet(self, fd: int) -> None:
        waiter = Waiter(fd, ready=False)
        self.lines.setdefault(fd, []).append(waiter)
        self.desk.queue.add(waiter)

    @rule(fd=FDS, at=st.integers(0, 3))
    def it_is_there(self, fd: int, at: int) -> None:
        for waiter in self.lines.get(fd, [])[at : at + 1]:
            waiter.ready = True
            self.desk.queue.look_at(fd)

    @rule(fd=FDS)
    def the_first_leaves(self, fd: int) -> None:
        if self.lines.get(fd):
            first = self.lines[fd].pop(0)
            assert self.desk.queue.leave(fd, lambda one: one is first) == [first]

    @rule(fd=FDS)
    def gets_other_things(self, fd: int) -> None:
        self.desk.backlogs.setdefault(fd, 7)

    @rule(most=st.integers(1, 5))
    def take(self, most: int) -> None:
        for waiter in self.desk.queue.take(most):
            assert waiter.ready
            assert not self.desk.backlogs.get(waiter.fd)
            assert waiter.fd not in self.taken
            assert self.lines[waiter.fd].pop(0) is waiter
            self.taken[waiter.fd] = waiter

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), unread=st.sampled_from([0, 0, 40]))
    def answer(self, data: st.DataObject, unread: int) -> None:
        fd = data.draw(st.sampled_from(sorted(self.taken)))
        unread += self.desk.backlogs.get(fd, 0)
        self.desk.answer(self.taken.pop(fd), unread)
        if unread:
            self.given[fd] = unread

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        fd = data.draw(st.sampled_from(sorted(self.taken)))
        waiter = self.taken.pop(fd)
        self.lines[fd].insert(0, waiter)
        self.desk.queue.put_back([waiter])

    @rule(fd=FDS)
    def read(self, fd: int) -> None:
        if self.desk.backlogs.get(fd):
            self.desk.read(fd)
            self.given.pop(fd, None)

    @rule(fd=FDS)
    def close(self, fd: int) -> None:
        assert list(self.desk.queue.close(fd)) == self.lines.pop(fd, [])
        self.taken.pop(fd, None)
        self.given.pop(fd, None)
        self.desk.backlogs.pop(fd, None)

    @invariant()
    def the_sum_is_right(self) -> None:
        assert self.desk.queue.outstanding == sum(self.given.values())

    @invariant()
    def nobody_is_forgotten(self) -> None:
        ready = [
            fd
            for fd, line in self.lines.items()
            if line and line[0].ready and fd not in self.taken and not self.desk.backlogs.get(fd)
        ]
        assert self.desk.queue.due or not ready or not self.desk.queue.affords


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
