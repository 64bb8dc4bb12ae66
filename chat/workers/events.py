"""What a group is given, as the events a service is told of.

Rules. Pure. An event is a JSON object with `event`, `event_id` and `ts`; the rest is what the
entry says, by the names it has everywhere else. An event's ID is made of what it is of, so that it
is the same however often it is sent. What is no entry of ours is counted.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from chat.bus.entries import id_order
from chat.bus.groups import Lost, Taken
from chat.wire.schema import UNREADABLE, Msg
from chat.workers.records import records

Event = dict[str, Any]
Placed = tuple[tuple[int, int], Event]
"""An event and the ID of its entry, by which those of several streams are put in order."""
Reader = Callable[[str, Sequence[Any]], tuple[list[Placed], int]]
"""Makes events of a stream's entries, given its unit; and counts what is none of ours."""

_decode: Final = msgspec.json.decode


def messages(unit: str, entries: Sequence[Any]) -> tuple[list[Placed], int]:
    """What was said."""
    found, bad = records(unit, entries, lambda room: True)
    events: list[Placed] = []
    for record in found:
        if isinstance(record.event, Msg):
            event = {"event": "message", "event_id": f"message-{unit}-{record.entry}"}
            event |= msgspec.to_builtins(record.event) | {"epoch": record.epoch}
            del event["t"]
            events.append((id_order(record.entry.encode()), event))
    return events, bad


def rooms(wanted: Sequence[str]) -> Reader:
    """Rooms that got their first viewers or lost their last."""

    def read(unit: str, entries: Sequence[Any]) -> tuple[list[Placed], int]:
        events: list[Placed] = []
        bad = 0
        for entry_id, values in entries:
            fields = dict(zip(values[::2], values[1::2], strict=False))
            try:
                name = f"room_{fields[b'e'].decode()}"
                room = fields[b"r"].decode()
            except (KeyError, UnicodeDecodeError):
                bad += 1
                continue
            if name in wanted:
                at = id_order(entry_id)
                event = {"event": name, "event_id": f"{name}-{unit}-{entry_id.decode()}"}
                events.append((at, event | {"ts": at[0], "room": room}))
        return events, bad

    return read


def documents(name: str) -> Reader:
    """Entries that are an object of JSON each, as the audit's."""

    def read(unit: str, entries: Sequence[Any]) -> tuple[list[Placed], int]:
        events: list[Placed] = []
        bad = 0
        for entry_id, values in entries:
            found = _json(values)
            if isinstance(found, dict):
                event = {"event": name, "event_id": f"{name}-{entry_id.decode()}"}
                events.append((id_order(entry_id), found | event))
            else:
                bad += 1
        return events, bad

    return read


def arrivals(wanted: Sequence[str]) -> Reader:
    """Entries that are arrays of whole events: who came and went."""

    def read(unit: str, entries: Sequence[Any]) -> tuple[list[Placed], int]:
        events: list[Placed] = []
        bad = 0
        for entry_id, values in entries:
            found = _json(values)
            if not isinstance(found, list):
                bad += 1
                continue
            at = id_order(entry_id)
            kept = [one for one in found if isinstance(one, dict) and one.get("event") in wanted]
            events += [(at, one) for one in kept]
        return events, bad

    return read


def _json(values: Sequence[Any]) -> Any:
    """What an entry's field `m` says; None where it says nothing."""
    try:
        return _decode(values[1]) if len(values) == 2 and values[0] == b"m" else None
    except UNREADABLE:
        return None


def lost(kind: str, taken: Taken, gone: Lost, now_ms: int) -> Event:
    """Entries of a stream were trimmed before they could be sent; `count` is null where nobody
    knows how many."""
    return {
        "event": "lost",
        "event_id": f"lost-{kind}-{taken.unit.name}-{gone.after}",
        "ts": now_ms,
        "of": kind,
        "partition": taken.unit.name,
        "count": gone.count if gone.count >= 0 else None,
        "after": gone.after,
        "before": gone.before,
    }


def in_order(events: Iterable[Placed]) -> list[Event]:
    """Events of one unit in the order of their entries; those of one stream keep theirs."""
    return [event for _, event in sorted(events, key=lambda placed: placed[0])]
