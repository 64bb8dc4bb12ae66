"""Batches and histories written out, for clients in tests; independent of the code under test."""

from collections.abc import Iterable, Iterator
from typing import Any

Event = dict[str, Any]

DEFAULTS = {"color": 0xFFFFFF, "mode": "scroll", "size": 25}


def whole(events: Iterable[Event]) -> Iterator[Event]:
    """A frame's events with a `msg` for every message of a batch, and histories of those."""
    for event in events:
        if event["t"] == "msgs":
            messages = written_out(event["room"], event["epoch"], event["m"], event["seq"])
            seqs = [event["seq"] - 1, *(message["seq"] for message in messages)]
            assert seqs == sorted(set(seqs)), "a message that its batch does not cover"
            assert seqs[-1] <= event["to"]
            yield from messages
        elif event["t"] in ("joined", "history"):
            history = written_out(event["room"], event["epoch"], event["history"], None)
            yield {**event, "history": history}
        else:
            yield event


def written_out(room: str, epoch: str, lean: list[Event], seq: int | None) -> list[Event]:
    """Messages with all their fields; `seq` is the first one's, unless that has its own."""
    found = []
    for message in lean:
        assert None not in message.values()
        assert not DEFAULTS.items() & message.items(), "what is default is left out"
        seq = message.get("seq", seq)
        assert seq is not None, "the first of a history has its own seq"
        if "removed" in message:
            assert message == {"seq": seq, "removed": True}
            found.append({"t": "removed", "room": room, "seq": seq})
        elif "t" in message:
            found.append({"room": room, "seq": seq, **message})
        else:
            uid = message["uid"]
            name = f"guest-{uid[-4:]}" if uid.startswith("guest:") else uid
            assert message.get("name") != name, "a name that can be known is left out"
            place = {"t": "msg", "room": room, "seq": seq, "id": f"{epoch}-{seq}", "name": name}
            found.append({**place, **DEFAULTS, **message})
        seq += 1
    return found
