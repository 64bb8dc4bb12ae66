"""What most of several who are asked at once agree on.

Rules. One of them may be dead, hang, or not have heard yet: more than half of all those asked are
waited for, not the slowest.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any, TypeVar

from chat.tasks import end

T = TypeVar("T", bound=Hashable)


async def majority(questions: Sequence[Coroutine[Any, Any, T | None]]) -> T | None:
    """The answer that more than half give, else the one most give; None is none."""
    asked = [asyncio.ensure_future(question) for question in questions]
    votes: Counter[T] = Counter()
    try:
        for answered in asyncio.as_completed(asked):
            vote = await answered
            if vote is not None:
                votes[vote] += 1
                if 2 * votes[vote] > len(asked):
                    return vote
    finally:
        await end(asked)
    return votes.most_common(1)[0][0] if votes else None
