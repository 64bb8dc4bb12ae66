"""Events written in a dialect, cut into frames; and how much each matters to who reads slowly.

Rules. Pure. Events are written one by one, so that one that many get is written once.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from chat.hub.steps import Step
from chat.wire.batch import FRAME_BYTES
from chat.wire.dialects.dialect import Dialect
from chat.wire.schema import Clear, Delete, Gap, Joins, Likes, Online, State
from shard.backlog import Keep

KEEP: Final[dict[type, Keep]] = {
    Online: Keep.LOW,
    Likes: Keep.LOW,
    Joins: Keep.LOW,
    Gap: Keep.ALWAYS,
    Delete: Keep.ALWAYS,
    Clear: Keep.ALWAYS,
    State: Keep.ALWAYS,
}
"""How much an event matters to who reads slowly; all else is NORMAL."""


class Written(NamedTuple):
    """An event in a dialect, how much it matters to who reads slowly; the rest as in a Step."""

    event: bytes
    place: str = ""
    keep: Keep = Keep.NORMAL
    seq: int = 0
    left_out: int = 0


def written(dialect: Dialect, steps: Sequence[Step]) -> list[Written]:
    """Those of a room's steps that a dialect has words for."""
    found = []
    for step in steps:
        event = dialect.event(step.event)
        if event is None:
            continue
        keep = KEEP.get(type(step.event), Keep.NORMAL)
        if len(event) > FRAME_BYTES:
            *pieces, event = dialect.pieces(event, FRAME_BYTES)
            found += [Written(piece, keep=keep) for piece in pieces]
        found.append(Written(event, step.place, keep, step.seq, step.left_out))
    return found


def full_frames(events: Sequence[Written]) -> Iterator[Sequence[Written]]:
    """Written events in order, as many at a time as fit one frame; one always does."""
    start = size = 0
    for i, one in enumerate(events):
        if size and size + len(one.event) > FRAME_BYTES:
            yield events[start:i]
            start, size = i, 0
        size += len(one.event)
    if size:
        yield events[start:]
