"""The supervisor with real forks: who is started, started again, heard and ended."""

import os
import re
import signal
from typing import Any

import pytest

from shard.supervisor import describe
from tests.shard.family import OVER, UP, family


class TestStarting:
    def test_all_are_started_and_then_it_is_said(self) -> None:
        with family() as they:
            assert they.lines(3) == UP
            assert len({they.process.pid, *they.pids.values()}) == 3
            they.signal(signal.SIGTERM)
            they.rest()


class TestRestarting:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
    def test_who_was_killed_starts_again_and_nobody_else(self, number: signal.Signals) -> None:
        with family() as they:
            they.lines(3)
            before = dict(they.pids)
            they.kill("a", number)
            assert they.line() == "start a"
            assert they.pids["a"] != before["a"]
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert f"a was killed by {number.name}; again in" in they.log

    def test_who_ended_by_itself_too(self) -> None:
        with family(workers="brief") as they:
            heard = [they.line() for _ in range(7)]
            assert heard.count("start brief") >= 3
            assert heard.count("end brief") >= 2
            they.signal(signal.SIGTERM)
            they.rest()
            assert "brief ended with status 0; again in" in they.log

    def test_who_failed_too_and_it_is_told_why(self) -> None:
        with family(workers="failing") as they:
            assert sum(they.line() == "start failing" for _ in range(4)) == 3
            they.signal(signal.SIGTERM)
            they.rest()
            assert "failing ended with status 1" in they.log
            assert "RuntimeError: a worker's trouble" in they.log

    def test_again_and_again_takes_longer_and_longer(self) -> None:
        assert self.delays(4, first=0.05) == ["0.1 s", "0.1 s", "0.2 s", "0.4 s"]

    def test_who_lived_long_enough_is_forgiven(self) -> None:
        assert self.delays(4, first=0.05, steady=0) == ["0.1 s"] * 4

    def delays(self, count: int, **options: Any) -> list[str]:
        """What is said of how long it takes until one who ends at once is started again."""
        with family(workers="brief", **options) as they:
            starts = 0
            while starts <= count:
                starts += they.line() == "start brief"
            they.signal(signal.SIGTERM)
            they.rest()
        said = [line for line in they.log.splitlines() if "again in" in line]
        return [line.rpartition("in ")[2] for line in said][:count]

    def test_its_death_is_told_before_its_next_life_begins(self) -> None:
        with family(graves=1) as they:
            they.lines(3)
            they.kill("a", signal.SIGKILL)
            assert [they.line(), they.line()] == ["gone a", "start a"]
            they.signal(signal.SIGTERM)
            said = they.rest()
            assert sorted(said[:-2]) == ["end a", "end b", "gone a", "gone b"]

    def test_who_cannot_be_forked_now_is_later(self) -> None:
        with family(refused=3) as they:
            assert they.lines(3) == UP
            they.signal(signal.SIGTERM)
            they.rest()
            told = "cannot be started: Resource temporarily unavailable; again in"
            assert they.log.count(told) == 3
            assert "Traceback" not in they.log


class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_workers_end_first_then_companions(self, number: signal.Signals) -> None:
        with family() as they:
            they.lines(3)
            they.signal(number)
            *ends, companion, over = they.rest()
            assert sorted(ends) == ["end a", "end b"]
            assert (companion, over) == ("companion stop", OVER)
            assert they.process.returncode == 0
            assert "killing" not in they.log

    def test_it_is_said_before_anybody_is_told(self) -> None:
        with family(tells=1) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            said, *others = they.rest()
            assert said == "ending SIGTERM"
            assert sorted(others) == ["companion stop", "end a", "end b", OVER]

    def test_ctrl_c_reaches_all_and_workers_wait_for_their_word(self) -> None:
        with family() as they:
            they.lines(3)
            os.killpg(they.process.pid, signal.SIGINT)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert "Traceback" not in they.log

    def test_a_second_signal_kills_who_does_not_end(self) -> None:
        with family(workers="a,stubborn") as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.lines(2) == ["end a", "ignores stubborn"]
            they.signal(signal.SIGTERM)
            assert they.rest() == ["companion stop", OVER]
            assert re.search("killing what has not ended: .*stubborn", they.log)

    def test_so_does_the_end_of_the_grace(self) -> None:
        with family(workers="a,stubborn", grace=0.1) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.rest()[-2:] == ["companion stop", OVER]
            assert re.search("killing what has not ended: .*stubborn", they.log)

    def test_nobody_is_started_again_meanwhile(self) -> None:
        with family(workers="a,stubborn") as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.lines(2) == ["end a", "ignores stubborn"]
            they.kill("stubborn", signal.SIGKILL)
            assert they.rest() == ["companion stop", OVER]

    def test_workers_do_not_outlive_a_supervisor_that_was_killed(self) -> None:
        with family() as they:
            they.lines(3)
            they.signal(signal.SIGKILL)
            assert sorted(they.rest()) == ["end a", "end b"]


class TestOperator:
    def test_it_hears_of_sighup_and_talks_with_the_workers(self) -> None:
        with family(operator=1) as they:
            assert they.lines(3) == UP
            they.signal(signal.SIGHUP)
            assert they.lines(3) == ["hung up", "the answer of a is A", "the answer of b is B"]
            they.kill("a", signal.SIGKILL)
            assert they.line() == "start a"
            they.signal(signal.SIGHUP)
            assert they.lines(3) == ["hung up", "the answer of a is A", "the answer of b is B"]
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", "left", OVER]

    def test_without_one_sighup_is_nothing(self) -> None:
        with family() as they:
            they.lines(3)
            they.signal(signal.SIGHUP)
            they.kill("a", signal.SIGKILL)
            assert they.line() == "start a"
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]

    def test_a_terminal_that_closes_is_the_end(self) -> None:
        ours, theirs = os.openpty()
        with family(tells=1, operator=1, terminal=theirs) as they:
            os.close(theirs)
            they.lines(3)
            os.close(ours)  # the kernel sends SIGHUP to who leads the session
            said = they.rest()
            assert "ending its terminal was closed" in said
            assert said[-1] == OVER
            assert "hung up" not in said

    def test_but_not_for_who_was_told_to_outlive_it(self) -> None:
        ours, theirs = os.openpty()
        with family(operator=1, terminal=theirs, nohup=1) as they:
            os.close(theirs)
            they.lines(3)
            os.close(ours)
            assert "hung up" in they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.rest()[-1] == OVER


class TestStoppedWorkers:
    def test_one_that_was_stopped_ends_like_the_others(self) -> None:
        with family() as they:
            they.lines(3)
            they.kill("a", signal.SIGSTOP)
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert "killing" not in they.log


class TestServing:
    def test_nothing_is_said_to_be_up_while_one_does_not_answer(self) -> None:
        with family(workers="a,mute") as they:
            assert they.lines(2) == ["start a", "start mute"]
            they.kill("mute", signal.SIGKILL)
            assert they.line() == "start mute"
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end mute", OVER]


class TestCompanions:
    def test_one_that_ended_is_started_again_until_it_runs(self) -> None:
        with family(companion=3) as they:
            assert they.lines(6) == sorted([*UP, *(f"companion again {i}" for i in (1, 2, 3))])
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert they.log.count("does not start: a companion's trouble") == 2
            assert "the companion ended with 7; again in" in they.log
            assert "Traceback" not in they.log

    def test_one_that_does_not_answer_keeps_nobody_waiting(self) -> None:
        with family(companion=1, silent=1) as they:
            assert they.lines(4) == sorted([*UP, "companion again 1"])
            they.kill("a", signal.SIGKILL)
            assert they.line() == "start a"
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert they.log.count("the companion, process 7, runs and does not answer") == 1

    def test_one_that_does_not_end_is_killed_when_its_time_is_over(self) -> None:
        with family(deaf=0.1) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.rest()[2:] == ["companion asked", "companion kill", "companion stop", OVER]
            assert "killing the companion" in they.log

    def test_or_at_a_second_signal(self) -> None:
        with family(deaf=1000) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.lines(3) == ["companion asked", "end a", "end b"]
            they.signal(signal.SIGTERM)
            assert they.rest() == ["companion kill", "companion stop", OVER]


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (3 << 8, "ended with status 3"), (9, "was killed by SIGKILL"),
     (11 | 0x80, "was killed by SIGSEGV"), (34, "was killed by SIGRTMIN"),
     (40, "was killed by signal 40")],
)  # fmt: skip
def test_how_somebody_ended_is_said_in_words(status: int, words: str) -> None:
    assert describe(status) == words
