"""Messages that are asked about by stages that do whatever they like."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.hub import sending as module
from chat.policy.gate import PASS, Attempt, Verdict
from tests.chat.hub.test_sending import NO, Desk

Turns = list[list[tuple[int, int]]]
"""For each turn who says something, and how many loop turns its stage takes."""
TURNS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=6), max_size=12)


@given(
    TURNS,
    st.lists(st.sampled_from(["pass", "refuse", "fail", "miscount"]), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_every_message_gets_one_answer_and_no_connections_overtake(
    turns: Turns, kinds: list[str], batch: int, under_way: int, breath: int
) -> None:
    """However stages behave: each message is published or refused, once; and those of a connection
    that are published are so in the order they were said."""
    asyncio.run(_random(turns, kinds, batch, under_way, breath))


async def _random(turns: Turns, kinds: list[str], batch: int, under_way: int, breath: int) -> None:
    def stage(kind: str) -> Callable[[Sequence[Attempt]], Awaitable[Sequence[Verdict]]]:
        async def check(attempts: Sequence[Attempt]) -> Sequence[Verdict]:
            for _ in range(int(attempts[0].text.split()[1])):
                await asyncio.sleep(0)
            number = int(attempts[0].text.split()[2])
            if kind == "fail" and number % 3 == 0:
                raise ValueError
            if kind == "miscount" and number % 3 == 1:
                return []
            if kind == "refuse":
                return [NO if attempt.fd % 2 else PASS for attempt in attempts]
            return [PASS] * len(attempts)

        return check

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "UNDER_WAY", under_way)
        patch.setattr(module, "ONE_BY_ONE", under_way)
        desk = Desk(*map(stage, kinds), batch=batch)
        said = 0
        for turn in turns:
            for fd, steps in turn:
                desk.send(fd, f"{fd} {steps} {said}")
                said += 1
            for _ in range(breath):
                await asyncio.sleep(0)
        await desk.sending.close()
    answers = desk.texts + [str(sender.ref) for sender, _ in desk.refused]
    assert len(answers) == len(set(answers)) == said
    for fd in range(5):
        own = [int(text.split()[2]) for text in desk.texts if text.startswith(f"{fd} ")]
        assert own == sorted(own)
