"""Entries as the events a service is told of."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chat.bus.entries import Deleted, Said, pack
from chat.bus.groups import Lost, Taken, Unit
from chat.workers.events import arrivals, documents, in_order, lost, messages, rooms


def entry(entry_id: str, **fields: Any) -> list[Any]:
    flat = [part for name, value in fields.items() for part in (name.encode(), value)]
    return [entry_id.encode(), flat]


def fanout(entry_id: str, packed: bytes) -> list[Any]:
    return entry(entry_id, r=b"lobby", p=b"e1-4", m=packed)


def test_a_message_says_all_a_viewer_is_told() -> None:
    said = Said("u7", "Ann", "hi", 1, "top", 25, 77)
    shadowed = Said("u8", "Ben", "bad", 1, "top", 25, 77, shadowed=True)
    entries = [fanout("9-1", pack(one)) for one in (said, shadowed, Deleted(1, 2))]
    [(at, event)], bad = messages("3", [*entries, fanout("9-2", b"\xc1")])
    assert (at, bad) == ((9, 1), 1)
    assert event == {
        "event": "message",
        "event_id": "message-3-9-1",
        "ts": 77,
        "room": "lobby",
        "epoch": "e1",
        "seq": 4,
        "id": "e1-4",
        "uid": "u7",
        "name": "Ann",
        "text": "hi",
        "color": 1,
        "mode": "top",
        "size": 25,
    }


def test_rooms_are_told_of_by_what_is_wanted() -> None:
    entries = [entry("9-1", e=b"occupied", r=b"a"), entry("9-2", e=b"vacated", r=b"a")]
    found, bad = rooms(["room_vacated"])("3", [*entries, entry("9-3", x=b"y")])
    assert bad == 1
    assert found == [
        ((9, 2), {"event": "room_vacated", "event_id": "room_vacated-3-9-2", "ts": 9, "room": "a"})
    ]


def test_documents_are_told_as_they_are() -> None:
    said = json.dumps({"ts": 5, "action": "mute", "event": "forged"}).encode()
    found, bad = documents("moderation")(
        "everywhere", [entry("9-1", m=said), entry("9-2", m=b"[1]"), entry("9-3", m=b"{")]
    )
    assert bad == 2
    assert found == [
        (
            (9, 1),
            {"ts": 5, "action": "mute", "event": "moderation", "event_id": "moderation-9-1"},
        )
    ]


def test_arrivals_come_several_in_an_entry() -> None:
    said = json.dumps([{"event": "connected", "uid": "a"}, {"event": "disconnected"}, 3]).encode()
    found, bad = arrivals(["connected"])("everywhere", [entry("9-1", m=said), entry("9-2", m=b"")])
    assert ([event for _, event in found], bad) == ([{"event": "connected", "uid": "a"}], 1)


def test_streams_of_a_unit_are_put_in_order() -> None:
    placed = [((9, 1), {"n": 1}), ((10, 0), {"n": 4}), ((9, 2), {"n": 2}), ((9, 2), {"n": 3})]
    assert [event["n"] for event in in_order(placed)] == [1, 2, 3, 4]


def test_what_is_lost_is_an_event_too() -> None:
    taken = Taken(Unit("3", "", ()), "s", 0, 0, b"", None, [])
    event = lost("messages", taken, Lost(7, "1-0", "9-0"), 55)
    assert event == {
        "event": "lost",
        "event_id": "lost-messages-3-1-0",
        "ts": 55,
        "of": "messages",
        "partition": "3",
        "count": 7,
        "after": "1-0",
        "before": "9-0",
    }
    assert lost("messages", taken, Lost(-1, "1-0", "9-0"), 55)["count"] is None


@given(st.lists(st.lists(st.binary(max_size=20), max_size=8), max_size=5))
def test_no_entry_stops_any_reader(entries: list[list[bytes]]) -> None:
    placed = [[b"1-1", fields] for fields in entries]
    for read in (messages, rooms(["x"]), documents("x"), arrivals(["x"])):
        read("0", placed)
