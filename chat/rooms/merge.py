"""What many say at once, shown once: "666 × 128".

Rules. Pure. Within one batch, chat of the same text, in any case, width and spacing, becomes the
first that said it with how many did, in `times`. The others are holes for all but their senders,
so positions stay arithmetic and everybody sees what they have said. Nothing is merged over what
ends a batch: it may take back what stands before it. Only what is on its way to viewers is
merged; the history has all of it, and another shard may have cut its batches elsewhere.

Each sender who is to see more than the others costs a frame of its own. So the largest groups are
merged first, and no more than that costs little: a flood of one text always, a crowd of pairs not.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, structs

from chat.bus.entries import folded
from chat.wire.schema import CHAT_PRIORITY, Gap, LeftOut, Msg, Removed, Sequenced, Shadowed

MOST_WRITTEN: Final = 10_000
"""Messages written for senders alone in one batch, if all of them were here: some 5 ms."""


Group = list[tuple[int, Msg]]
"""Messages of the same text, and where they are in the batch."""


def merged(events: Sequence[Sequenced | Gap]) -> Sequence[Sequenced | Gap]:
    """A batch as it goes out where duplicates are merged."""
    groups = _groups(events)
    if not groups:
        return events
    found = list(events)
    shown = len(found)
    senders: set[str] = set()
    for group in sorted(groups, key=len, reverse=True):
        (at, first), *others = group
        also = senders | {msg.uid for _, msg in others}
        shown -= len(others)
        if shown * len(also) > MOST_WRITTEN:
            break
        senders = also
        found[at] = structs.replace(first, times=len(group))
        for i, msg in others:
            found[i] = Shadowed(msg)
    return found


def _groups(events: Sequence[Sequenced | Gap]) -> list[Group]:
    """Where the same is said more than once, in the order of the first."""
    said: defaultdict[tuple[int, str], Group] = defaultdict(list)
    run = 0
    for i, event in enumerate(events):
        if isinstance(event, Msg):
            if _is_plain(event) and (text := folded(event.text)):
                said[run, text].append((i, event))
        elif not isinstance(event, Removed | Shadowed | LeftOut):
            run += 1
    return [group for group in said.values() if len(group) > 1]


def _is_plain(msg: Msg) -> bool:
    """Whether it says nothing but its text, and is no more than chat: all else is its own."""
    above = msg.priority is not UNSET and msg.priority > CHAT_PRIORITY
    return msg.kind is UNSET and msg.data is UNSET and not above
