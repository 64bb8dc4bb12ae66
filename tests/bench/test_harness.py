"""bench/harness.py: the clocks and sums every figure stands on."""

import os
import subprocess
import sys
import time
from functools import partial

import pytest

from bench.harness import (
    Figures,
    Stopwatch,
    cpu_ns,
    interleave,
    memory_bytes,
    settle,
)


class TestClocks:
    def test_our_own_clock_agrees_with_the_interpreters(self) -> None:
        before = time.process_time_ns()
        seen = cpu_ns(os.getpid())
        assert before <= seen <= time.process_time_ns()

    def test_a_stopwatch_reads_what_was_spent_since_it_began(self) -> None:
        watch = Stopwatch(os.getpid(), os.getpid())
        sum(range(200_000))
        taken = watch.read()
        assert min(taken.wall_ns, taken.server_ns, taken.client_ns) > 0

    def test_memory_is_in_bytes_by_its_kernel_name(self) -> None:
        memory = memory_bytes(os.getpid())
        assert memory["Rss"] >= memory["Pss"] > 1 << 20


class TestSettle:
    def test_it_waits_for_each_of_several(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
            try:
                with pytest.raises(RuntimeError, match=f"{busy.pid}.* did not become idle"):
                    settle(os.getpid(), busy.pid, quiet_s=2.0, timeout_s=2.0)
            finally:
                busy.kill()
        settle(os.getpid())


class TestInterleave:
    def test_every_side_runs_once_a_round_and_the_order_turns(self) -> None:
        order: list[str] = []

        def side(name: str) -> Figures:
            order.append(name)
            return {"us": 1.0}

        interleave({name: partial(side, name) for name in "abc"}, rounds=3)
        assert "".join(order) == "abcbcacab"

    def test_a_side_that_once_has_no_figures_is_left_out(self) -> None:
        figures = iter([{"us": 1.0}, {}])
        sides = {"floor": lambda: {"us": 1.0}, "broken": lambda: next(figures)}
        assert list(interleave(sides, rounds=2)) == ["floor"]

    def test_ratios_are_taken_within_a_round_before_the_median(self) -> None:
        floor, ours = iter([1.0, 2.0, 4.0]), iter([2.0, 3.0, 4.0])
        measured = interleave(
            {"floor": lambda: {"us": next(floor)}, "ours": lambda: {"us": next(ours)}}, rounds=3
        )
        assert measured["ours"]["us"] == 3.0
        assert measured["ours"]["ratio"] == 1.5
        assert (measured["ours"]["ratio_low"], measured["ours"]["ratio_high"]) == (1.0, 2.0)
