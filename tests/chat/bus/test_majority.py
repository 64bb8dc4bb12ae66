"""What most agree on, however slow, dead or behind the others are."""

import asyncio

import pytest

from chat.bus.majority import majority


async def says(answer: str | None) -> str | None:
    return answer


async def hangs() -> str | None:
    await asyncio.Event().wait()
    return "never"


@pytest.mark.parametrize(
    ("answers", "agreed"),
    [
        (["a"], "a"),
        (["a", "a", "b"], "a"),
        (["b", "a", "a"], "a"),
        ([None, None, "a"], "a"),
        ([None, "b", "a", "a", "c"], "a"),
        ([None, None], None),
        ([], None),
    ],
)
async def test_most_are_believed(answers: list[str | None], agreed: str | None) -> None:
    assert await majority([says(answer) for answer in answers]) == agreed


async def test_who_hangs_is_not_waited_for_when_most_have_answered() -> None:
    assert await majority([hangs(), says("a"), says("a")]) == "a"


async def test_nobody_is_left_asking() -> None:
    before = asyncio.all_tasks()
    await majority([hangs(), says("a"), says("a")])
    assert asyncio.all_tasks() == before


async def test_who_is_cancelled_leaves_nobody_asking_either() -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(majority([hangs(), hangs()]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
