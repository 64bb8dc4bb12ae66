"""What of a stream an archive keeps."""

import json

from hypothesis import given
from hypothesis import strategies as st

from chat.bus.entries import Changed, Cleared, Deleted, Entry, Ruled, Said, pack
from chat.workers.records import Cursor, Missing, line_of, line_of_missing, records, wanted

SAID = Said("u7", "阿花", "前方高能", 255, "top", 36, 1_764, badges=("fan",), level=3)


def entry(packed: bytes, place: str = "e1-4", room: str = "live:1", entry_id: str = "9-1") -> list:  # type: ignore[type-arg]
    return [entry_id.encode(), [b"r", room.encode(), b"p", place.encode(), b"m", packed]]


def everything(room: str) -> bool:
    return True


def test_messages_and_what_takes_them_back_are_kept_and_nothing_else() -> None:
    shadowed = Said("u", "n", "x", 0, "scroll", 25, 1, shadowed=True)
    packed: list[Entry] = [
        SAID,
        Deleted(2, 5),
        Cleared("u7", 6),
        Cleared(None, 7),
        Ruled({}, 8),
        shadowed,
    ]
    found, bad = records("3", [entry(pack(one)) for one in packed], everything)
    assert [type(one.event).__name__ for one in found] == ["Msg", "Delete", "Clear", "Clear"]
    assert bad == 0
    assert found[0].key == ("live:1", "e1", 4, 1_764)


def test_controls_take_no_place_and_are_passed_over() -> None:
    assert records("3", [entry(pack(Changed({})), place="")], everything) == ([], 0)


def test_what_is_none_of_ours_is_counted() -> None:
    good = entry(pack(SAID))
    bad = [
        entry(b"\xc1"),
        entry(pack(SAID), place="nonsense"),
        [b"1-1", [b"x", b"y"]],
        [b"1-1", [b"r", b"\xff", b"p", b"e-1", b"m", b""]],
    ]
    found, count = records("3", [*bad, good], everything)
    assert (len(found), count) == (1, 4)


@given(st.lists(st.lists(st.binary(max_size=9), max_size=8), max_size=5))
def test_no_entry_stops_it(entries: list[list[bytes]]) -> None:
    records("3", [[b"1-1", fields] for fields in entries], everything)


def test_rooms_are_chosen_by_name_and_by_what_they_begin_with() -> None:
    chosen = wanted(["live:*", "lobby", "a.b"])
    names = ["live:", "live:1", "lobby", "lobby2", "xlive:1", "a.b", "a-b"]
    assert [name for name in names if chosen(name)] == ["live:", "live:1", "lobby", "a.b"]
    assert wanted([])("anything")


def test_a_line_says_everything() -> None:
    [record], _ = records("3", [entry(pack(SAID))], everything)
    line = line_of(record)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "t": "msg",
        "room": "live:1",
        "epoch": "e1",
        "seq": 4,
        "id": "e1-4",
        "uid": "u7",
        "name": "阿花",
        "text": "前方高能",
        "color": 255,
        "mode": "top",
        "size": 36,
        "ts": 1_764,
        "level": 3,
        "badges": ["fan"],
        "at": "3/9-1",
    }


def test_what_is_missing_has_a_line_too() -> None:
    assert json.loads(line_of_missing(Missing("3", 7, "1-0", "9-0"))) == {
        "t": "lost",
        "count": 7,
        "after": "1-0",
        "before": "9-0",
        "partition": "3",
    }
    assert json.loads(line_of_missing(Missing("3", -1, "1-0", "9-0")))["count"] is None


def test_ids_are_compared_as_numbers() -> None:
    assert Cursor("9-2", 0).before("10-0")
    assert Cursor("9-2", 0).before("9-10")
    assert not Cursor("9-2", 0).before("9-2")
