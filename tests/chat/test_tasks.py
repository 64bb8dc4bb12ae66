"""Ending tasks."""

import asyncio

from chat.tasks import end


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
