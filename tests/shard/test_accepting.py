"""Several shards on one listener, driven by hand: who is told of newcomers, and who takes them."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from shard.accepting import Accepting, Share
from shard.levels import MAX_ACCEPTS, SLACK, Levels
from shard.listen import listen

TICK = 1_000
CAPACITY = 1_000


class Shard:
    """One that accepts, with an epoll of its own; what it would do later waits in `planned`."""

    def __init__(self, listener: socket.socket, levels: Levels, number: int) -> None:
        self.planned: list[Callable[[], None]] = []
        self.epoll = select.epoll()
        share = Share(levels, number, lambda _, call: self.planned.append(call))
        self.accepting = Accepting(self.epoll, listener, CAPACITY, share)
        self.listener = listener
        self.connections = 0

    def told(self) -> set[int]:
        """What epoll tells it of now."""
        return {fd for fd, _ in self.epoll.poll(0)}

    @property
    def sees(self) -> bool:
        """Whether it is told that newcomers wait."""
        return self.accepting.fd in self.told()

    def turn(self) -> int:
        """One turn, as a group takes it; how many it took."""
        taken, told = 0, self.told()
        if self.accepting.bell in told:
            self.accepting.look()
        if self.accepting.fd in told and (most := self.accepting.most()):
            while taken < most and self._take():
                taken += 1
            self.connections += taken
            self.accepting.took(self.connections)
        return taken

    def _take(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def have(self, connections: int) -> None:
        self.connections = connections
        self.accepting.count(connections)

    def moment(self) -> None:
        """What it had planned comes to pass."""
        planned, self.planned = self.planned, []
        for call in planned:
            call()


class Node:
    """A listener, its shards, and who comes."""

    def __init__(self, shards: int) -> None:
        self.listener = listen("127.0.0.1", 0, 128, 65536)
        self.levels = Levels(shards)
        self.shards = [Shard(self.listener, self.levels, i) for i in range(shards)]
        self.clients = ExitStack()
        for shard in self.shards:
            shard.accepting.start(TICK)

    def come(self, count: int = 1) -> None:
        for _ in range(count):
            self.clients.enter_context(socket.create_connection(self.listener.getsockname(), 20))

    def turns(self, *shards: Shard) -> list[int]:
        """These take turns until none has anything to do; how many each took."""
        taken = [0] * len(shards)
        for _ in range(100):
            now = [shard.turn() for shard in shards]
            taken = [a + b for a, b in zip(taken, now, strict=True)]
            if not any(now) and not any(shard.told() for shard in shards):
                return taken
        raise AssertionError("they always find something to do")

    def close(self) -> None:
        self.clients.close()
        for shard in self.shards:
            shard.accepting.stop()
            shard.epoll.close()
        self.levels.close()
        self.listener.close()


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    made = Node(getattr(request, "param", 2))
    yield made
    made.close()


def of(shards: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("node", [shards], indirect=True)


class TestTakingTurns:
    def test_newcomers_are_spread_evenly(self, node: Node) -> None:
        node.come(100)
        taken = node.turns(*node.shards)
        assert sum(taken) == 100
        assert abs(taken[0] - taken[1]) <= SLACK

    def test_few_are_told_of_those_who_come(self, node: Node) -> None:
        node.turns(*node.shards)
        for shard in node.shards:
            shard.moment()
        node.come()
        first, second = node.shards
        assert first.sees
        assert second.turn() == 0, "it is told once, and it is not its turn"
        assert first.turn() == 1
        node.come()
        assert not second.sees

    def test_who_is_ahead_passes_the_turn_on_by_a_bell(self, node: Node) -> None:
        first, second = node.shards
        node.turns(first, second)
        node.come(5)
        assert first.turn() == 5
        node.come()
        assert not first.sees
        assert node.turns(second) == [1]

    def test_each_of_two_is_given_one_of_two(self, node: Node) -> None:
        for _ in range(2):
            node.come()
            assert sum(node.turns(*node.shards)) == 1
        assert [shard.connections for shard in node.shards] == [1, 1]

    def test_one_that_begins_anew_takes_all_until_it_has_as_many(self, node: Node) -> None:
        first, second = node.shards
        first.have(100)
        first.accepting.look()
        node.come(90)
        assert node.turns(first, second) == [0, 90]
        node.come(38)
        assert sum(node.turns(first, second)) == 38
        assert abs(first.connections - second.connections) <= SLACK

    @of(1)
    def test_one_alone_takes_all(self, node: Node) -> None:
        node.come(100)
        [shard] = node.shards
        assert shard.accepting.bell == -1
        assert shard.turn() == MAX_ACCEPTS
        assert shard.turn() == 100 - MAX_ACCEPTS
        assert not shard.planned


class TestNobodyIsLeftWaiting:
    def test_for_one_that_does_not_move(self, node: Node) -> None:
        stopped, other = node.shards
        node.turns(stopped, other)
        other.moment()
        node.come(3)
        assert node.turns(other) == [0]
        other.moment()
        assert node.turns(other) == [3]
        node.come(90)
        assert node.turns(other) == [90], "nor the next ones"
        assert stopped.turn() == 0
        node.come(9)
        assert node.turns(stopped, other) == [9, 0], "until it moves again"

    def test_who_moves_in_time_is_not_passed_over(self, node: Node) -> None:
        first, second = node.shards
        node.turns(first, second)
        second.have(50)
        second.moment()
        node.come(2)
        assert node.turns(second) == [0]
        assert first.turn() == 2
        node.come(2)
        second.moment()
        assert node.turns(second) == [0]
        assert first.turn() == 2

    def test_for_one_that_has_missed_two_ticks(self, node: Node) -> None:
        other = node.shards[1]
        other.have(500)
        other.accepting.advance(TICK + 1)
        node.come()
        assert node.turns(other) == [0]
        other.accepting.advance(TICK + 2)
        assert node.turns(other) == [1]

    def test_for_one_that_is_full(self, node: Node) -> None:
        full, other = node.shards
        other.have(900)
        full.have(CAPACITY)
        node.come(3)
        assert node.turns(full, other) == [0, 3]

    def test_for_one_that_has_a_last_place(self, node: Node) -> None:
        one, other = node.shards
        one.have(CAPACITY - 2)
        other.have(CAPACITY - 3)
        node.come(5)
        assert node.turns(one, other) == [2, 3]

    def test_where_all_are_full_there_is_somebody_to_say_so(self, node: Node) -> None:
        for shard in node.shards:
            shard.have(CAPACITY)
        node.come()
        assert sum(node.turns(*node.shards)) == 1

    def test_for_one_that_leaves_or_has_ended(self, node: Node) -> None:
        leaving, other = node.shards
        other.have(500)
        leaving.accepting.leave()
        node.come()
        assert node.turns(leaving, other) == [0, 1]
        leaving.accepting.stop()
        leaving.accepting.advance(TICK + 1)
        node.come()
        assert node.turns(leaving, other) == [0, 1]

    def test_where_all_leave_there_is_somebody_to_say_so(self, node: Node) -> None:
        for shard in node.shards:
            shard.accepting.leave()
        node.come()
        assert sum(node.turns(*node.shards)) == 1

    def test_for_one_without_descriptors(self, node: Node) -> None:
        short, other = node.shards
        other.have(500)
        assert short.accepting.give_way()
        node.come()
        assert node.turns(short, other) == [0, 1]
        other.accepting.give_way()
        node.come()
        assert sum(node.turns(short, other)) == 1, "there is somebody to say no"
        short.accepting.advance(TICK + 1)
        node.come()
        assert node.turns(short, other) == [1, 0]

    def test_for_one_that_has_paused(self, node: Node) -> None:
        paused, other = node.shards
        paused.accepting.give_way()
        paused.accepting.pause()
        node.come()
        assert node.turns(paused, other) == [0, 1]

    def test_for_one_that_died(self, node: Node) -> None:
        other = node.shards[1]
        other.have(500)
        other.accepting.look()
        node.levels.vacate(0, TICK)
        node.come()
        assert node.turns(other) == [1]


class TestQuiet:
    def test_where_nobody_comes_nobody_looks(self, node: Node) -> None:
        node.turns(*node.shards)
        for shard in node.shards:
            shard.moment()
            assert not shard.planned
            assert not shard.told()
        for tick in range(TICK + 1, TICK + 9):
            for shard in node.shards:
                shard.accepting.advance(tick)
        assert not any(shard.planned or shard.told() for shard in node.shards)
