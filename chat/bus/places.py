"""A room's history as Redis gives it, read as places in order.

Rules. Pure. What was said stands in entries, under the ID seq-0. Of what was taken back only seq
and ts are kept, beside them: those become Removed places. What is no entry of ours is left out.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from chat.bus.entries import BadEntry, read
from chat.wire.schema import Removed, Sequenced

NONE: Final = b"\x90"
_numbers: Final = msgspec.msgpack.Decoder(list[int]).decode


@dataclass(slots=True)
class Page:
    """A piece of a room's history; its room is at (epoch, seq).

    end   the seq it was read to, be what stands there readable or not; None where nothing stands
    more  whether there is more that way
    """

    epoch: str
    seq: int
    places: list[Sequenced]
    end: int | None
    more: bool


def read_places(
    room: str, epoch: str, entries: Sequence[Any], removed: Sequence[int] = ()
) -> list[Sequenced]:
    """Entries, and what was removed between them (seq, ts, seq, ts…), oldest first.

    A script gives an entry's fields as a list, redis-py as a dict.
    """
    found: list[Sequenced] = []
    for entry_id, fields in entries:
        entry = fields.get(b"m", b"") if isinstance(fields, dict) else fields[1]
        with suppress(BadEntry):
            found.append(read(entry, room, epoch, _seq(entry_id)))
    if removed:
        pairs = zip(removed[::2], removed[1::2], strict=True)
        found += [Removed(room, seq, ts) for seq, ts in pairs]
        found.sort(key=lambda place: place.seq)
    return found


def removed_at(packed: bytes | None, seq: int) -> tuple[int, ...]:
    """(seq, ts) of the place at `seq`, if a room's hash says that it was removed."""
    try:
        numbers = _numbers(packed or NONE)
    except msgspec.MsgspecError:
        return ()
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    return next((pair for pair in pairs if pair[0] == seq), ())


def cut(
    room: str,
    epoch: str,
    seq: int,
    entries: Sequence[Any],
    removed: Sequence[int],
    most: int,
    backwards: bool,
) -> Page:
    """At most so many places of what was read, the nearest to where reading began."""
    seqs = sorted([*(_seq(entry_id) for entry_id, _ in entries), *removed[::2]], reverse=backwards)
    taken = set(seqs[:most])
    kept = [entry for entry in entries if _seq(entry[0]) in taken]
    pairs = zip(removed[::2], removed[1::2], strict=True)
    gone = [number for pair in pairs if pair[0] in taken for number in pair]
    places = read_places(room, epoch, kept[::-1] if backwards else kept, gone)
    return Page(epoch, seq, places, seqs[:most][-1] if seqs else None, len(seqs) > most)


def _seq(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
