"""What a fan-out stream has, as an archive keeps it.

Rules. Pure. Kept is what was said, and what takes it back. Controls, rooms' rules, shadowed
messages and rooms that are not wanted are passed over, and so is what is no entry of ours.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.bus.entries import BadEntry, id_order, read
from chat.wire.schema import Clear, Delete, Msg

Key = tuple[str, str, int, int]
"""Room, epoch, seq, ts: a place that no other entry ever has."""


class Cursor(Struct, array_like=True, frozen=True):
    """How far a partition's stream is archived: an entry's ID, and as what number it came (-1:
    nobody knows)."""

    entry: str
    given: int

    def before(self, entry_id: str) -> bool:
        """Whether an entry came later."""
        return id_order(self.entry.encode()) < id_order(entry_id.encode())


class Record(Struct, frozen=True):
    """What is archived of one entry."""

    partition: str
    entry: str
    epoch: str
    event: Msg | Delete | Clear

    @property
    def key(self) -> Key:
        event = self.event
        return event.room, self.epoch, event.seq, event.ts


class Missing(Struct, frozen=True):
    """Entries that were trimmed before they could be archived; count -1: nobody knows how many."""

    partition: str
    count: int
    after: str
    before: str


def wanted(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a room is of these names, in which `*` stands for anything; without any, all are."""
    if not patterns:
        return lambda room: True
    parts = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    match: Final = re.compile("|".join(parts), re.DOTALL).fullmatch
    return lambda room: match(room) is not None


def records(
    partition: str, entries: Iterable[Any], wanted: Callable[[str], bool]
) -> tuple[list[Record], int]:
    """What of a fan-out stream's entries is kept, in order; and how many were none of ours."""
    found: list[Record] = []
    bad = 0
    for entry_id, values in entries:
        fields = dict(zip(values[::2], values[1::2], strict=False))
        try:
            room, place, packed = fields[b"r"].decode(), fields[b"p"].decode(), fields[b"m"]
            if not place or not wanted(room):
                continue
            epoch, _, seq = place.rpartition("-")
            event = read(packed, room, epoch, int(seq))
        except (KeyError, ValueError, BadEntry):
            bad += 1
            continue
        if isinstance(event, Msg | Delete | Clear):
            found.append(Record(partition, entry_id.decode(), epoch, event))
    return found, bad


def line_of(record: Record) -> bytes:
    """A record as a line of JSON, with its line break."""
    fields = msgspec.to_builtins(record.event)
    fields |= {"epoch": record.epoch, "at": f"{record.partition}/{record.entry}"}
    return msgspec.json.encode(fields) + b"\n"


def line_of_missing(missing: Missing) -> bytes:
    """Likewise; a count that nobody knows is null."""
    fields = {"t": "lost", "count": missing.count if missing.count >= 0 else None}
    fields |= {"after": missing.after, "before": missing.before}
    fields |= {"partition": missing.partition}
    return msgspec.json.encode(fields) + b"\n"
