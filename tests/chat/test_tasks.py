"""Tasks with an owner: begun, looked after, ended."""

import asyncio
import gc
import weakref

import pytest

from chat.tasks import Tasks, begin, end
from shard.logids import REQUEST


class TestBegin:
    async def test_it_is_of_no_request_however_it_came_about(self) -> None:
        found: list[str] = []

        async def look() -> None:
            found.append(REQUEST.get())

        before = REQUEST.set("a-request")
        try:
            tasks = Tasks("test")
            tasks.spawn(look())
            await begin(look())
            await tasks.finish(10)
        finally:
            REQUEST.reset(before)
        assert found == ["", ""]


class TestEnd:
    async def test_a_task_that_swallows_its_first_cancellations_ends_all_the_same(self) -> None:
        swallowed = 0

        async def stubborn() -> None:
            nonlocal swallowed
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    swallowed += 1
                    if swallowed == 3:
                        raise

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(end([task]), 10)
        assert task.cancelled()
        assert swallowed == 3

    async def test_tasks_that_are_done_or_fail_are_no_trouble(self) -> None:
        async def fails() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("at the end")

        async def done() -> None: ...

        tasks = [asyncio.create_task(fails()), asyncio.create_task(done())]
        await asyncio.sleep(0)
        await asyncio.wait_for(end(tasks), 10)
        assert isinstance(tasks[0].exception(), RuntimeError)

    async def test_nothing_to_end_is_no_wait(self) -> None:
        await asyncio.wait_for(end([]), 10)


class TestTasks:
    async def test_it_is_busy_while_something_runs(self) -> None:
        tasks, done = Tasks("test"), asyncio.Event()
        assert not tasks.busy

        async def waits(event: asyncio.Event) -> None:
            await event.wait()

        later = asyncio.Event()
        tasks.spawn(waits(done))
        tasks.spawn(waits(later))
        assert tasks.busy
        done.set()
        await settled()
        assert tasks.busy
        later.set()
        await settled()
        assert not tasks.busy

    async def test_what_nobody_else_keeps_runs_to_its_end(self) -> None:
        tasks, ended = Tasks("test"), list[bool]()
        events: list[weakref.ref[asyncio.Event]] = []

        async def waits() -> None:
            event = asyncio.Event()
            events.append(weakref.ref(event))
            await event.wait()
            ended.append(True)

        tasks.spawn(waits())
        await settled()
        gc.collect()
        event = events[0]()
        assert event is not None
        event.set()
        await settled()
        assert ended == [True]

    async def test_a_failure_is_logged_with_whose_it_is_and_harms_no_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        tasks, done = Tasks("reader"), list[bool]()

        async def fails() -> None:
            raise KeyError("what went wrong")

        async def works() -> None:
            await settled()
            done.append(True)

        tasks.spawn(fails())
        tasks.spawn(works())
        while tasks.busy:
            await settled()
        [record] = caplog.records
        assert (record.levelname, record.getMessage()) == ("ERROR", "a task of the reader failed")
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "'what went wrong'"
        assert done == [True]

    async def test_stopping_ends_all_of_them_without_a_word(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        tasks, ended = Tasks("test"), list[int]()

        async def waits(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(number)

        for number in range(3):
            tasks.spawn(waits(number))
        await settled()
        await asyncio.wait_for(tasks.stop(), 10)
        assert sorted(ended) == [0, 1, 2]
        assert not tasks.busy
        assert not caplog.records

    async def test_what_fails_at_its_end_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        tasks = Tasks("test")

        async def fails() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("at the end")

        tasks.spawn(fails())
        await settled()
        await asyncio.wait_for(tasks.stop(), 10)
        assert [record.getMessage() for record in caplog.records] == ["a task of the test failed"]

    async def test_with_nothing_under_way_stopping_is_no_wait(self) -> None:
        tasks = Tasks("test")
        await asyncio.wait_for(tasks.stop(), 10)
        tasks.spawn(settled())
        await settled()
        await asyncio.wait_for(tasks.stop(), 10)
        assert not tasks.busy


async def settled() -> None:
    """Long enough for what can go on to have gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestFinish:
    async def test_what_comes_to_its_end_is_not_cut_short(self) -> None:
        tasks, told, done = Tasks("test"), asyncio.Event(), False

        async def works() -> None:
            nonlocal done
            await told.wait()
            done = True

        tasks.spawn(works())
        finishing = asyncio.create_task(tasks.finish(10))
        await asyncio.sleep(0)
        told.set()
        await finishing
        assert done
        assert not tasks.busy

    async def test_what_does_not_is(self) -> None:
        tasks, cancelled = Tasks("test"), False

        async def waits() -> None:
            nonlocal cancelled
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

        tasks.spawn(waits())
        await asyncio.wait_for(tasks.finish(0.01), 10)
        assert cancelled

    async def test_nothing_is_no_wait(self) -> None:
        await asyncio.wait_for(Tasks("test").finish(100), 10)
