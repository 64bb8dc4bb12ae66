"""The board of shards: who should take newcomers, how many, and who is told."""

import select
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.levels import FEW, LATE_TICKS, MAX_ACCEPTS, SLACK, Levels

TICK = 1_000


def levels_of(*counts: int, room: int = 1) -> Levels:
    """A board on which everyone lives."""
    made = Levels(len(counts))
    for i, count in enumerate(counts):
        made.connections[i], made.room[i], made.beat[i] = count, room, TICK
    return made


@pytest.fixture
def eight() -> Iterator[Levels]:
    made = levels_of(*[100] * 8)
    yield made
    made.close()


def rung(levels: Levels) -> list[int]:
    """Whose bells were rung."""
    with select.epoll() as epoll:
        bells = {levels.bell(i): i for i in range(levels.shards)}
        for bell in bells:
            epoll.register(bell, select.EPOLLIN | select.EPOLLET)
        return sorted(bells[fd] for fd, _ in epoll.poll(0))


class TestWhoseTurn:
    def test_a_few_of_those_who_are_level_by_number(self, eight: Levels) -> None:
        assert eight.due(TICK) == list(range(FEW))

    def test_the_least_filled_are_the_first(self, eight: Levels) -> None:
        eight.connections[7] = 80
        eight.connections[6] = 90
        assert eight.due(TICK) == [7, 6]

    def test_one_goes_on_for_a_part_of_the_slack(self, eight: Levels) -> None:
        eight.connections[0] = 103
        assert eight.due(TICK) == [0, 1, 2, 3]
        eight.connections[0] = 104
        assert eight.due(TICK) == [1, 2, 3, 4]

    def test_where_there_are_few_the_turn_passes_on_at_every_newcomer(self) -> None:
        levels = levels_of(*[5] * 8)
        levels.connections[0] = 6
        assert levels.due(TICK) == [1, 2, 3, 4]
        levels.close()

    def test_nobody_who_is_ahead_by_the_slack(self) -> None:
        levels = levels_of(100, 100 + SLACK - 1, 100 + SLACK, 0)
        levels.room[3] = 0
        assert levels.due(TICK) == [0, 1]
        levels.close()

    def test_of_many_the_slack_is_a_hundredth(self) -> None:
        levels = levels_of(10_000, 10_099, 10_100, 30_000)
        assert levels.due(TICK) == [0, 1]
        levels.close()

    def test_of_two_one_at_a_time(self) -> None:
        levels = levels_of(4, 4)
        assert levels.due(TICK) == [0]
        levels.connections[0] = 5
        assert levels.due(TICK) == [1]
        levels.close()

    def test_nobody_who_is_full_while_others_are_not(self, eight: Levels) -> None:
        for i in range(7):
            eight.room[i] = 0
        eight.connections[7] = 10_000
        assert eight.due(TICK) == [7]

    def test_somebody_who_says_no_where_all_are_full(self) -> None:
        levels = levels_of(7, 7, 7, 7, room=0)
        assert levels.due(TICK) == [0, 1]
        levels.beat[0] = 0
        assert levels.due(TICK) == [1, 2]
        levels.close()

    def test_nobody_whose_beat_is_old(self, eight: Levels) -> None:
        eight.connections[3] = 0
        assert eight.due(TICK + LATE_TICKS - 1) == [3]
        for i in range(8):
            if i != 3:
                eight.beat[i] = TICK + 1
        assert 3 not in eight.due(TICK + LATE_TICKS)

    def test_nobody_who_has_never_lived(self) -> None:
        levels = Levels(2)
        assert levels.due(0) == levels.due(1) == []
        levels.close()

    def test_nobody_who_is_passed_over(self, eight: Levels) -> None:
        eight.connections[3] = 0
        eight.pass_over([3])
        assert 3 not in eight.due(TICK)
        eight.doubted[3] = 0
        assert eight.due(TICK) == [3]


class TestHowMany:
    def test_up_to_the_slack_beyond_the_least_of_the_others(self, eight: Levels) -> None:
        assert eight.most(0, TICK) == SLACK
        eight.connections[0] = 110
        assert eight.most(0, TICK) == SLACK - 10
        eight.connections[0] = 500
        assert eight.most(0, TICK) == 0

    def test_who_is_far_behind_takes_as_many_as_a_turn_may(self, eight: Levels) -> None:
        eight.connections[0] = 0
        assert eight.most(0, TICK) == MAX_ACCEPTS

    def test_others_who_are_full_or_gone_are_waited_for_by_nobody(self, eight: Levels) -> None:
        eight.connections[0] = 10_000
        for i in range(1, 8):
            assert eight.most(0, TICK) == 0
            eight.room[i] = i % 3
            eight.beat[i] *= i % 3 != 1
            eight.doubted[i] = i % 3 == 2
        assert eight.most(0, TICK) == MAX_ACCEPTS

    def test_who_is_full_has_no_others_to_wait_for(self, eight: Levels) -> None:
        eight.connections[0], eight.room[0] = 10_000, 0
        assert eight.most(0, TICK) == MAX_ACCEPTS


class TestBells:
    def test_those_who_rest_are_told_that_it_is_their_turn(self, eight: Levels) -> None:
        eight.holds[0] = 1
        eight.ring([0, 1, 2])
        assert rung(eight) == [1, 2]

    def test_where_one_dies_others_are_told(self, eight: Levels) -> None:
        eight.connections[5] = 0
        eight.holds[5] = 1
        eight.vacate(5, TICK)
        assert rung(eight) == [0, 1, 2, 3]
        assert (eight.connections[5], eight.holds[5], eight.room[5]) == (0, 0, 0)

    def test_one_alone_has_none(self) -> None:
        assert Levels(1).bell(0) == -1


@given(
    counts=st.lists(st.integers(0, 300), min_size=2, max_size=9),
    turns=st.lists(st.tuples(st.integers(0, 8), st.integers(0, MAX_ACCEPTS)), max_size=200),
)
def test_whoever_takes_its_turn_when_nobody_gets_ahead_of_the_slack(
    counts: list[int], turns: list[tuple[int, int]]
) -> None:
    levels = levels_of(*counts)
    try:
        for chosen, wanted in turns:
            due = levels.due(TICK)
            assert 0 < len(due) <= FEW
            assert levels.connections[due[0]] < min(levels.connections) + SLACK // 4
            shard = due[chosen % len(due)]
            most = levels.most(shard, TICK)
            assert 0 < most <= MAX_ACCEPTS
            levels.connections[shard] += min(wanted, most)
            others = min(count for i, count in enumerate(levels.connections) if i != shard)
            assert levels.connections[shard] <= others + SLACK
    finally:
        levels.close()
