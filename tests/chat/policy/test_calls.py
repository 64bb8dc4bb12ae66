"""Code that is not ours: whatever it does, a call ends."""

import asyncio
import threading
from typing import Any

import pytest

from chat.policy import calls as module
from chat.policy.calls import Calls, Failed, TooSlow
from tests.chat.rig import until

LONG_S = 30.0
SHORT_S = 0.02


async def double(number: int) -> int:
    return 2 * number


def triple(number: int) -> int:
    return 3 * number


def later(number: int) -> Any:
    return double(number)


class TestAnswers:
    @pytest.mark.parametrize(("function", "answer"), [(double, 14), (triple, 21), (later, 14)])
    async def test_a_call_returns_what_is_returned_or_awaited(
        self, function: Any, answer: int
    ) -> None:
        calls = Calls(LONG_S)
        assert await calls.call(function, 7) == answer
        calls.stop()

    async def test_plain_functions_run_elsewhere_and_coroutines_here(self) -> None:
        async def here() -> int:
            return threading.get_ident()

        calls = Calls(LONG_S)
        assert await calls.call(here) == threading.get_ident()
        assert await calls.call(threading.get_ident) != threading.get_ident()
        calls.stop()

    async def test_a_function_that_waits_holds_up_nobody_else(self) -> None:
        may_go = threading.Event()
        calls = Calls(LONG_S)
        waiting = asyncio.create_task(calls.call(may_go.wait))
        assert await calls.call(triple, 1) == 3
        may_go.set()
        assert await waiting is True
        calls.stop()

    async def test_threads_are_used_again_and_end_at_the_end(self) -> None:
        calls = Calls(LONG_S)
        names: set[int] = set()
        for _ in range(20):
            names.add(await calls.call(threading.get_ident))
        assert len(names) == 1
        calls.stop()
        await until(lambda: not names & {thread.ident for thread in threading.enumerate()})


class TestFailures:
    @pytest.mark.parametrize(
        "error", [ValueError("no"), StopIteration(), SystemExit(3), KeyboardInterrupt()]
    )
    @pytest.mark.parametrize("awaits", [True, False])
    async def test_whatever_is_raised_is_told(self, error: BaseException, awaits: bool) -> None:
        def fail() -> None:
            raise error

        async def fail_later() -> None:
            raise error

        calls = Calls(LONG_S)
        with pytest.raises(Failed) as failed:
            await calls.call(fail_later if awaits else fail)
        assert not isinstance(failed.value, TooSlow)
        assert type(error).__name__ in str(failed.value) or isinstance(error, StopIteration)
        assert await calls.call(triple, 1) == 3
        assert calls.lost == 0
        calls.stop()

    async def test_one_that_cancels_itself_has_failed(self) -> None:
        async def cancel() -> None:
            raise asyncio.CancelledError

        with pytest.raises(Failed):
            await Calls(LONG_S).call(cancel)


class TestSlowness:
    async def test_a_coroutine_is_cancelled(self) -> None:
        calls = Calls(SHORT_S)
        with pytest.raises(TooSlow, match="more than 20 ms"):
            await calls.call(asyncio.Event().wait)
        await until(lambda: calls.lost == 0)

    async def test_one_that_does_not_listen_is_given_up_all_the_same(self) -> None:
        may_go = asyncio.Event()

        async def stubborn() -> None:
            while not may_go.is_set():
                try:
                    await may_go.wait()
                except asyncio.CancelledError:
                    continue

        calls = Calls(SHORT_S)
        with pytest.raises(TooSlow):
            await calls.call(stubborn)
        assert calls.lost == 1
        may_go.set()
        await until(lambda: calls.lost == 0)

    async def test_a_stuck_thread_is_replaced(self) -> None:
        may_go = threading.Event()
        calls = Calls(SHORT_S)
        stuck = 3 * module.THREADS
        for _ in range(stuck):
            with pytest.raises(TooSlow):
                await calls.call(may_go.wait)
        assert calls.lost == stuck
        calls.budget_s = LONG_S  # however busy the machine is
        assert await calls.call(triple, 1) == 3
        may_go.set()
        await until(lambda: calls.lost == 0)
        calls.stop()

    async def test_when_very_many_are_stuck_no_more_are_made(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_LOST", 2)
        may_go = threading.Event()
        made: list[int] = []
        calls = Calls(SHORT_S)
        for _ in range(2):
            with pytest.raises(TooSlow):
                await calls.call(may_go.wait)
        with pytest.raises(TooSlow, match="2 calls before it"):
            await calls.call(made.append, 1)
        may_go.set()
        await until(lambda: calls.lost == 0)
        calls.budget_s = LONG_S
        await calls.call(made.append, 2)
        assert made == [2]
        calls.stop()

    async def test_who_gets_no_turn_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "WAIT_S", SHORT_S)
        monkeypatch.setattr(module, "THREADS", 1)
        may_go = threading.Event()
        calls = Calls(LONG_S)
        waiting = asyncio.create_task(calls.call(may_go.wait))
        await asyncio.sleep(0)
        with pytest.raises(TooSlow, match="all turns"):
            await calls.call(triple, 1)
        may_go.set()
        assert await waiting is True
        calls.stop()

    async def test_the_budget_begins_with_the_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "COROUTINES", 1)
        calls = Calls(LONG_S)
        assert await asyncio.gather(*(calls.call(double, i) for i in range(50))) == [
            2 * i for i in range(50)
        ]

    async def test_a_call_nobody_waits_for_any_more_is_given_up(self) -> None:
        may_go = threading.Event()
        calls = Calls(LONG_S)
        waiting = asyncio.create_task(calls.call(may_go.wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert calls.lost == 1
        may_go.set()
        await until(lambda: calls.lost == 0)
        calls.stop()
