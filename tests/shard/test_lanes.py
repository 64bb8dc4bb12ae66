"""Whose turn it is: in order within a lane, fair between lanes, nobody forgotten."""

from collections import defaultdict
from itertools import count, islice

from hypothesis import given
from hypothesis import strategies as st

from shard.backlog import Keep
from shard.lanes import QUANTUM, FanOut, Lanes

SLICE = 2_048


def fan_out(size: int, data: bytes = b"", tick: int = 0) -> FanOut:
    return FanOut(iter(range(size)), size, data, Keep.NORMAL, tick)


def written(lanes: Lanes, most: int) -> list[tuple[bytes, int]]:
    """What a slice of `most` writes comes to: whose data, to how many."""
    parts = []
    while lanes and most:
        one, size = lanes.next(most)
        assert len(list(islice(one.fds, size))) == size <= most
        most -= size
        parts.append((one.data, size))
    return parts


class TestTurns:
    def test_one_alone_has_the_whole_slice(self) -> None:
        lanes = Lanes()
        lanes.add("a", fan_out(5_000, b"a"))
        assert written(lanes, SLICE) == [(b"a", SLICE)]

    def test_two_large_ones_take_turns(self) -> None:
        lanes = Lanes()
        for lane in (b"a", b"b"):
            lanes.add(lane, fan_out(5_000, lane))
        assert written(lanes, SLICE) == [(b"a", QUANTUM), (b"b", QUANTUM)] * 2

    def test_small_ones_wait_for_one_quantum_of_a_large_one(self) -> None:
        lanes = Lanes()
        lanes.add("large", fan_out(100_000, b"large"))
        for lane in range(20):
            lanes.add(lane, fan_out(15, b"small"))
        parts = written(lanes, SLICE)
        small = 20 * [(b"small", 15)]
        assert parts == [(b"large", QUANTUM), *small, (b"large", SLICE - QUANTUM - 300)]

    def test_a_flood_of_one_lane_costs_another_a_quantum(self) -> None:
        lanes = Lanes()
        for _ in range(1_000):
            lanes.add("notices", fan_out(10_000, b"notice"))
        written(lanes, SLICE)
        lanes.add("room", fan_out(15, b"room"))
        assert (b"room", 15) in written(lanes, SLICE)[:2]

    def test_a_quantum_goes_over_several_of_a_lane(self) -> None:
        lanes = Lanes()
        for _ in range(QUANTUM):
            lanes.add("a", fan_out(2, b"a"))
        lanes.add("b", fan_out(2, b"b"))
        parts = written(lanes, SLICE)
        assert parts.index((b"b", 2)) == QUANTUM // 2

    def test_the_oldest_may_be_in_any_lane(self) -> None:
        lanes = Lanes()
        assert lanes.oldest_tick is None
        lanes.add("a", fan_out(1_000, tick=5))
        lanes.add("b", fan_out(1_000, tick=4))
        lanes.add("b", fan_out(1_000, tick=6))
        assert lanes.oldest_tick == 4


Offered = list[tuple[int, int]]
"""Lanes and sizes."""


class TestAnyPattern:
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1_500)), max_size=30),
        st.lists(st.integers(1, 3_000)),
    )
    def test_all_is_done_in_order_and_nobody_waits_for_ever(
        self, offered: Offered, slices: list[int]
    ) -> None:
        lanes, numbers = Lanes(), count()
        expected: dict[int, list[int]] = defaultdict(list)
        done: dict[int, list[int]] = defaultdict(list)
        left = {}
        for lane, size in offered:
            number = next(numbers)
            expected[lane].append(number)
            left[number] = lane, size
            lanes.add(lane, fan_out(size, b"%d" % number))
        waited: dict[int, int] = defaultdict(int)
        for most in [*slices, *[SLICE] * 100]:
            for data, size in written(lanes, most):
                lane, before = left[int(data)]
                left[int(data)] = lane, before - size
                for other in expected:
                    waited[other] = (
                        0 if other == lane or other not in lanes else (waited[other] + size)
                    )
                    assert waited[other] <= 4 * QUANTUM
                if before == size:
                    done[lane].append(int(data))
        assert done == expected
        assert not lanes
