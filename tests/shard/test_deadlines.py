"""What is due when, without a group and without a clock: ticks are passed in."""

import random
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.table import ConnectionTable
from shard import deadlines as module
from shard import phases
from shard.deadlines import Deadlines, Due
from shard.handshake import Terms
from shard.phases import CLOSING, HANDSHAKE, OPEN, QUARANTINED
from shard.settings import Settings
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer

FD = 7
SETTINGS = Settings(
    handshake_ticks=5,
    ping_ticks=30,
    timeout_ticks=20,
    close_ticks=4,
    terms=Terms((Offer("/ws", WebSocket()), Offer("/sse", EventStream()))),
)


class Answers(Enum):
    """What a peer does when it is pinged."""

    AT_ONCE = 1
    NEVER = 2


class Desk:
    """One connection; time goes by a tick at a time."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.table = ConnectionTable(16, phases.FOLLOWS, phases.NAMES)
        chance = random.Random()
        chance.random = lambda: jitter  # type: ignore[method-assign]
        self.deadlines = Deadlines(self.table, SETTINGS, chance)
        self.tick = 1_000
        self.deadlines.start(self.tick)

    def open(self, variant: int = 0) -> None:
        self.table.take(FD, HANDSHAKE, self.tick)
        self.deadlines.arrived(FD)
        self.table.move(FD, OPEN)
        self.table.variant[FD] = variant
        self.deadlines.opened(FD)

    def hear(self) -> None:
        self.table.seen[FD] = self.tick

    def pass_(self, ticks: int, answers: Answers = Answers.NEVER) -> list[tuple[int, Due]]:
        """What became due, with how many ticks from now that was."""
        found = []
        for passed in range(1, ticks + 1):
            self.tick += 1
            self.deadlines.advance(self.tick)
            while self.deadlines.behind:
                for fd, due in self.deadlines.due():
                    assert fd == FD
                    found.append((passed, due))
                    if answers is Answers.AT_ONCE:
                        self.hear()
        return found


class TestRequests:
    def test_one_that_is_not_complete_is_late(self) -> None:
        desk = Desk()
        desk.table.take(FD, HANDSHAKE, desk.tick)
        desk.deadlines.arrived(FD)
        assert desk.pass_(20) == [(6, Due.LATE)]

    def test_the_oldest_that_outlast_a_tick_are_known_until_they_are_over(self) -> None:
        desk = Desk()
        desk.table.take(FD, HANDSHAKE, desk.tick)
        desk.deadlines.arrived(FD)
        assert desk.deadlines.half_open(9) == []
        desk.pass_(1)
        desk.deadlines.arrived(FD + 1)
        assert desk.deadlines.half_open(9) == [FD]
        desk.pass_(1)
        assert desk.deadlines.half_open(9) == [FD, FD + 1]
        assert desk.deadlines.half_open(1) == [FD]
        desk.deadlines.over(FD)
        desk.deadlines.opened(FD + 1)
        assert desk.deadlines.half_open(9) == []

    def test_one_that_is_has_other_deadlines(self) -> None:
        desk = Desk()
        desk.open()
        assert desk.pass_(29) == []


class TestPings:
    def test_the_silent_are_asked_and_given_up(self) -> None:
        desk = Desk()
        desk.open()
        assert desk.pass_(60) == [(30, Due.PING), (50, Due.SILENT)]

    def test_who_answers_is_asked_once_a_period(self) -> None:
        desk = Desk()
        desk.open()
        dues = desk.pass_(200, Answers.AT_ONCE)
        assert {due for _, due in dues} == {Due.PING}
        assert [at for at, _ in dues] == [30, 60, 90, 120, 150, 180]

    def test_who_speaks_is_not_asked(self) -> None:
        desk = Desk()
        desk.open()
        for _ in range(20):
            assert desk.pass_(29) == []
            desk.hear()

    def test_who_cannot_answer_is_asked_for_ever(self) -> None:
        desk = Desk()
        desk.open(variant=1)
        assert desk.pass_(130) == [(at, Due.PING) for at in (30, 60, 90, 120)]

    @given(jitter=st.floats(0, 1, exclude_max=True))
    def test_jitter_brings_the_first_one_forward_by_half_a_period_at_most(
        self, jitter: float
    ) -> None:
        desk = Desk(jitter)
        desk.open()
        [(at, due), *_] = desk.pass_(31)
        assert due is Due.PING
        assert 15 < at <= 30


class TestAfterAPause:
    @pytest.mark.parametrize("pause", [3, 19, 60, 1_000])
    @pytest.mark.parametrize("since", [0, 1, 10, 19])
    def test_who_was_asked_before_it_is_asked_anew(self, pause: int, since: int) -> None:
        desk = Desk()
        desk.open()
        assert desk.pass_(30 + since) == [(30, Due.PING)]
        desk.tick += pause
        [(at, due)] = desk.pass_(20)
        assert due is Due.PING
        assert desk.pass_(20)[0] == (at, Due.SILENT), "a whole timeout later"

    @given(
        passed=st.lists(st.one_of(st.integers(1, 60), st.just(1_000)), max_size=8),
        pause=st.integers(3, 200),
    )
    def test_who_answers_is_never_given_up(self, passed: list[int], pause: int) -> None:
        desk = Desk()
        desk.open()
        for ticks in passed:
            dues = desk.pass_(min(ticks, 60), Answers.AT_ONCE)
            assert Due.SILENT not in {due for _, due in dues}
            desk.tick += pause

    def test_a_hiccup_is_none(self) -> None:
        desk = Desk()
        desk.open()
        desk.pass_(48)
        desk.tick += module.SLEPT_TICKS - 1
        assert desk.pass_(1) == [(1, Due.SILENT)]

    def test_who_is_silent_is_given_up_in_the_end_though_we_sleep_now_and_then(self) -> None:
        desk = Desk()
        desk.open()
        dues = []
        for _ in range(3):
            dues += [due for _, due in desk.pass_(25)]
            desk.tick += 30
        assert Due.SILENT in dues

    def test_a_request_has_no_more_time_for_it(self) -> None:
        desk = Desk()
        desk.table.take(FD, HANDSHAKE, desk.tick)
        desk.deadlines.arrived(FD)
        desk.tick += 100
        assert desk.pass_(1) == [(1, Due.LATE)]

    def test_how_long_we_have_been_awake(self) -> None:
        desk = Desk()
        desk.pass_(5)
        assert desk.deadlines.awake(1_000)
        desk.tick += 5
        desk.pass_(4)
        assert desk.deadlines.awake(3)
        assert not desk.deadlines.awake(4)


class TestCloses:
    def test_one_nobody_answers_is_ended(self) -> None:
        desk = Desk()
        desk.open()
        desk.table.move(FD, CLOSING)
        desk.deadlines.closing(FD)
        assert desk.pass_(10) == [(4, Due.UNANSWERED)]

    def test_what_is_over_is_never_due(self) -> None:
        desk = Desk()
        desk.open()
        desk.deadlines.over(FD)
        desk.table.retire(FD, QUARANTINED, desk.tick)
        assert desk.pass_(200) == []


def test_a_crowd_is_visited_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VISITS", 3)
    table = ConnectionTable(16, phases.FOLLOWS, phases.NAMES)
    deadlines = Deadlines(table, SETTINGS, random.Random(1))
    deadlines.start(1_000)
    for fd in range(16):
        table.take(fd, HANDSHAKE, 1_000)
        deadlines.arrived(fd)
    parts = []
    deadlines.advance(1_006)
    while deadlines.behind:
        parts.append([fd for fd, _ in deadlines.due()])
    assert [fd for part in parts for fd in part] == list(range(16))
    assert max(map(len, parts)) <= 3
