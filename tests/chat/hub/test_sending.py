"""Messages between gate and publisher: each gets one answer, and no connection's overtake."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from chat.bus.entries import Said, pack
from chat.bus.publisher import Publisher
from chat.bus.store import Outgoing
from chat.counters import FIELDS, ChatCount
from chat.hub import sending as module
from chat.hub.acks import Sender
from chat.hub.sending import BUSY, UNCHECKED, Sending, Stage
from chat.policy.gate import PASS, Attempt, Refusal, Verdict
from chat.policy.identity import Identity
from chat.wire.schema import ErrorCode
from pool.handle import Handle
from pool.scoreboard import Scoreboard
from tests.chat.rig import until

WHO = Identity("u1", "u1", "user")
NO = Refusal(ErrorCode.FORBIDDEN, "no")


class Desk:
    """What was published and refused of what was sent."""

    def __init__(self, *stages: Stage, batch: int = 200, idle: bool = False) -> None:
        self.published: list[tuple[Sender, Outgoing]] = []
        self.refused: list[tuple[Sender, Refusal]] = []
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.clock = 0.0
        self.sending = Sending(
            cast("Publisher[Sender]", self),
            self.refused.extend,
            [(stage, batch) for stage in stages],
            self.counts,
            lambda: self.clock,
            idle,
        )

    def submit(self, outgoing: Outgoing, sender: Sender) -> None:
        self.published.append((sender, outgoing))

    def send(self, fd: int, text: str, message_id: str | None = None) -> None:
        said = Said("u1", "u1", text, 7, "top", 36, 1_000)
        outgoing = Outgoing("a", "u1", pack(said), message_id)
        sender = Sender(Handle(fd, 1), "a", text)
        self.sending.submit(Attempt("a", text, WHO, fd), said, outgoing, sender)

    @property
    def texts(self) -> list[str]:
        return [str(sender.ref) for sender, _ in self.published]

    @property
    def answered(self) -> int:
        return len(self.published) + len(self.refused)


async def allow(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
    return [PASS] * len(attempts)


class Held:
    """A stage that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[Verdict]] = []

    async def __call__(self, attempts: Sequence[Attempt]) -> Sequence[Verdict]:
        self.asked.append([attempt.text for attempt in attempts])
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return [await answer] * len(attempts)


class TestWithoutStages:
    def test_the_publisher_is_all_there_is(self) -> None:
        desk = Desk()
        assert desk.sending.direct == desk.submit

    def test_with_one_there_is_no_way_around_it(self) -> None:
        assert Desk(allow).sending.direct is None

    async def test_one_that_is_idle_is_passed_by_until_it_is_woken(self) -> None:
        held = Held()
        desk = Desk(held, idle=True)
        assert desk.sending.direct == desk.submit
        desk.sending.wake()
        assert desk.sending.direct is None
        desk.send(1, "a")
        await until(lambda: held.answers)
        assert held.asked == [["a"]]
        held.answers[0].set_result(PASS)
        await until(lambda: desk.texts == ["a"])

    async def test_nothing_overtakes_what_was_under_way_when_it_is_woken(self) -> None:
        first, last = Held(), Held()
        desk = Desk(first, last, idle=True)
        desk.send(1, "a")
        await until(lambda: last.answers)
        desk.sending.wake()
        desk.send(1, "b")
        await until(lambda: first.answers)
        first.answers[0].set_result(PASS)
        last.answers[0].set_result(PASS)
        await until(lambda: len(last.answers) == 2)
        assert (first.asked, last.asked) == ([["b"]], [["a"], ["b"]])
        last.answers[1].set_result(PASS)
        await until(lambda: desk.texts == ["a", "b"])


class TestBatches:
    async def test_the_messages_of_a_turn_are_asked_about_together(self) -> None:
        held = Held()
        desk = Desk(held)
        for fd in range(5):
            desk.send(fd, f"{fd}")
        await until(lambda: held.answers)
        assert held.asked == [["0", "1", "2", "3", "4"]]
        held.answers[0].set_result(PASS)
        await until(lambda: desk.answered == 5)
        assert desk.texts == ["0", "1", "2", "3", "4"]

    async def test_a_slow_batch_does_not_hold_up_who_is_not_in_it(self) -> None:
        held = Held()
        desk = Desk(held)
        desk.send(1, "slow")
        await until(lambda: len(held.answers) == 1)
        desk.send(2, "quick")
        await until(lambda: len(held.answers) == 2)
        held.answers[1].set_result(PASS)
        await until(lambda: desk.texts == ["quick"])
        held.answers[0].set_result(PASS)
        await until(lambda: desk.texts == ["quick", "slow"])

    async def test_a_later_message_of_a_connection_waits_for_the_earlier(self) -> None:
        held = Held()
        desk = Desk(held)
        desk.send(1, "first")
        await until(lambda: len(held.answers) == 1)
        desk.send(1, "second")
        desk.send(2, "other")
        await until(lambda: len(held.answers) == 2)
        assert held.asked[1] == ["other"]
        held.answers[0].set_result(NO)
        await until(lambda: len(held.answers) == 3)
        assert held.asked[2] == ["second"]
        for answer in held.answers[1:]:
            answer.set_result(PASS)
        await until(lambda: desk.answered == 3)
        assert [sender.ref for sender, _ in desk.refused] == ["first"]

    async def test_no_more_than_so_many_are_under_way(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "UNDER_WAY", 2)
        held = Held()
        desk = Desk(held, batch=2)
        for fd in (1, 2, 3, 4, 1, 1):
            desk.send(fd, f"{fd}")
        await until(lambda: len(held.answers) == 2)
        await asyncio.sleep(0)
        assert held.asked == [["1", "1"], ["2", "3"]]
        held.answers[1].set_result(PASS)
        await until(lambda: len(held.answers) == 3)
        assert held.asked[2] == ["4"]  # its connection still has one under way
        held.answers[0].set_result(PASS)
        await until(lambda: len(held.answers) == 4)
        assert held.asked[3] == ["1"]
        for answer in held.answers[2:]:
            answer.set_result(PASS)
        await until(lambda: desk.answered == 6)
        assert not desk.sending._lanes[0].lines

    async def test_of_one_each_a_slow_one_holds_up_nobody_else_of_its_turn(self) -> None:
        held = Held()
        desk = Desk(held, batch=1)
        for fd in (1, 2, 1, 3):
            desk.send(fd, f"{fd}")
        await until(lambda: len(held.answers) == 3)
        assert held.asked == [["1"], ["2"], ["3"]]
        held.answers[1].set_result(PASS)
        held.answers[2].set_result(PASS)
        await until(lambda: desk.texts == ["2", "3"])
        held.answers[0].set_result(PASS)
        await until(lambda: len(held.answers) == 4)
        held.answers[3].set_result(PASS)
        await until(lambda: desk.texts == ["2", "3", "1", "1"])


class TestStages:
    async def test_one_does_not_wait_for_what_is_behind_it(self) -> None:
        first, second = Held(), Held()
        desk = Desk(first, second)
        desk.send(1, "a")
        await until(lambda: first.answers)
        first.answers[0].set_result(PASS)
        await until(lambda: second.answers)
        desk.send(1, "b")
        await until(lambda: len(first.answers) == 2)
        first.answers[1].set_result(PASS)
        await until(lambda: not desk.sending._lanes[0].under_way)
        await asyncio.sleep(0)
        assert second.asked == [["a"]]
        second.answers[0].set_result(PASS)
        await until(lambda: len(second.answers) == 2)
        second.answers[1].set_result(PASS)
        await until(lambda: desk.texts == ["a", "b"])

    async def test_the_next_one_sees_what_the_one_before_made_of_it(self) -> None:
        seen: list[str] = []

        async def shout(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
            for attempt in attempts:
                attempt.text = attempt.text.upper()
            return [NO if attempt.text == "NO" else PASS for attempt in attempts]

        async def look(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
            seen.extend(attempt.text for attempt in attempts)
            return [PASS] * len(attempts)

        desk = Desk(shout, look)
        desk.send(1, "hi")
        desk.send(2, "no")
        await until(lambda: desk.answered == 2)
        assert seen == ["HI"]

    async def test_what_was_changed_is_published_under_what_was_sent(self) -> None:
        async def change(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
            for attempt in attempts:
                assert (attempt.color, attempt.mode, attempt.size) == (7, "top", 36)
                assert attempt.id == "c-1"
                attempt.text, attempt.color, attempt.shadowed = "***", 8, True
            return [PASS]

        desk = Desk(change)
        desk.send(1, "rude", "c-1")
        await until(lambda: desk.answered)
        [(_, outgoing)] = desk.published
        changed = Said("u1", "u1", "***", 8, "top", 36, 1_000, shadowed=True)
        assert outgoing.entry == pack(changed)
        assert outgoing.asked == pack(Said("u1", "u1", "rude", 7, "top", 36, 1_000))

    async def test_what_was_not_changed_is_what_was_packed(self) -> None:
        desk = Desk(allow)
        desk.send(1, "hi")
        await until(lambda: desk.answered)
        assert desk.published[0][1].asked == b""

    @pytest.mark.parametrize("verdicts", [[], [PASS, PASS]])
    async def test_one_that_loses_count_is_no_verdict(
        self, verdicts: list[Verdict], caplog: pytest.LogCaptureFixture
    ) -> None:
        async def miscount(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
            return verdicts

        desk = Desk(miscount)
        desk.send(1, "hi")
        await until(lambda: desk.answered)
        assert [refusal for _, refusal in desk.refused] == [UNCHECKED]
        assert f"{len(verdicts)} verdicts on 1 messages" in caplog.text

    async def test_one_that_fails_refuses_its_batch_and_no_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
            if attempts[0].text == "bad":
                raise ValueError("a bug")
            return [PASS] * len(attempts)

        desk = Desk(fail)
        desk.send(1, "bad")
        desk.send(2, "with it")
        await until(lambda: desk.answered == 2)
        desk.send(1, "good")
        await until(lambda: desk.answered == 3)
        assert [refusal for _, refusal in desk.refused] == [UNCHECKED] * 2
        assert desk.texts == ["good"]
        assert desk.counts[ChatCount.REFUSED_UNAVAILABLE] == 2
        assert "a bug" in caplog.text

    async def test_one_that_never_answers_refuses_in_time(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(module, "STAGE_S", 0.01)
        desk = Desk(Held())
        desk.send(1, "hi")
        await until(lambda: desk.answered)
        assert [refusal for _, refusal in desk.refused] == [UNCHECKED]
        assert "could not be checked" in caplog.text


class TestBounds:
    async def test_one_more_than_may_wait_is_refused_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_WAITING", 3)
        held = Held()
        desk = Desk(held)
        for text in ("1", "2", "3", "4"):
            desk.send(1, text)
        assert [(sender.ref, refusal) for sender, refusal in desk.refused] == [("4", BUSY)]
        assert BUSY.retry_after
        assert desk.counts[ChatCount.REFUSED_UNAVAILABLE] == 1
        await until(lambda: held.answers)
        held.answers[0].set_result(PASS)
        await until(lambda: desk.texts == ["1", "2", "3"])
        desk.send(1, "5")
        await until(lambda: len(held.answers) == 2)
        held.answers[1].set_result(PASS)
        await until(lambda: desk.texts == ["1", "2", "3", "5"])

    async def test_what_has_waited_too_long_is_not_asked_about(self) -> None:
        held = Held()
        desk = Desk(held)
        desk.send(1, "first")
        await until(lambda: held.answers)
        desk.send(1, "second")
        desk.clock += module.WAIT_S + 1
        desk.send(1, "third")
        held.answers[0].set_result(PASS)
        await until(lambda: len(held.answers) == 2)
        assert held.asked == [["first"], ["third"]]
        assert [(sender.ref, refusal) for sender, refusal in desk.refused] == [("second", BUSY)]
        held.answers[1].set_result(PASS)
        await until(lambda: desk.texts == ["first", "third"])


class TestClosing:
    async def test_it_waits_for_what_is_under_way(self) -> None:
        held = Held()
        desk = Desk(held)
        desk.send(1, "first")
        await until(lambda: held.answers)
        desk.send(1, "second")
        closing = asyncio.create_task(desk.sending.close())
        held.answers[0].set_result(PASS)
        await until(lambda: len(held.answers) == 2)
        held.answers[1].set_result(PASS)
        await closing
        assert desk.texts == ["first", "second"]

    @pytest.mark.parametrize("begun", [True, False])
    async def test_it_waits_no_longer_than_a_moment(
        self, begun: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "CLOSE_S", 0.01 if begun else 0)
        monkeypatch.setattr(module, "UNDER_WAY", 1)
        held = Held()
        desk = Desk(held)
        desk.send(1, "under way")
        if begun:
            await until(lambda: held.answers)
        desk.send(1, "behind")
        desk.send(2, "next")
        await desk.sending.close()
        assert desk.published == []
        assert sorted(str(sender.ref) for sender, _ in desk.refused) == [
            "behind",
            "next",
            "under way",
        ]
        desk.send(3, "late")
        assert desk.refused[-1][0].ref == "late"
        assert desk.counts[ChatCount.REFUSED_UNAVAILABLE] == 4

    async def test_nothing_under_way_is_nothing_to_wait_for(self) -> None:
        desk = Desk(allow)
        desk.send(1, "hi")
        await until(lambda: desk.answered)
        await desk.sending.close()
        await Desk().sending.close()
