"""tests/faults/foreign.py: what other people's protocols say becomes the log of a viewer."""

import json
import random
import struct
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from tests.faults.audits import audited
from tests.faults.books import NOTHING, Ack, Book, Cut, Joined, Live, Odd, Place, Shed
from tests.faults.foreign import Subscriber, Watcher, named
from tests.faults.foreignwires import CentrifugalSocket, GoimSocket
from tests.faults.ledger import Reading
from tests.faults.verdict import Breach, Verdict
from tests.faults.ways import Kind, Way

ROOM = "r"


class Line(CentrifugalSocket):
    """A connection that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def together(self, commands: list[dict[str, Any]]) -> None:
        self.said += commands


def a_subscriber(kind: Kind = "centrifugal", crowded: bool = False) -> tuple[Subscriber, Line]:
    """One that is in its room, in which nobody has spoken."""
    way, line = Way(kind, False, True), Line()
    viewer = Subscriber("v", way, [ROOM], [1], random.Random(1), 0, crowded=crowded)
    viewer._wire = line
    viewer._introduce()
    viewer._take([{"id": 1, "connect": {"client": "c"}}], "")
    viewer._take([{"id": 2, "subscribe": {"recoverable": True, "epoch": "~now"}}], "")
    return viewer, line


def pub(seq: int, **more: Any) -> dict[str, Any]:
    data = {"t": "msg", "text": str(seq)}
    return {"push": {"channel": ROOM, "pub": {"data": data, "offset": seq} | more}}


def a_book(count: int) -> Book:
    book = Book()
    for number in range(1, count + 1):
        book.sent.add(number)
        book.acks.append(Ack(number, Place("e", number), number, number))
    return book


def judged(book: Book, viewer: Subscriber) -> Verdict:
    reading = Reading(book, resumes=True, once=True)
    log = named(book, viewer.logs[ROOM])
    reading.read(log)
    return audited(book, log, reading, timed=viewer.way.timed)


class TestSubscriber:
    @pytest.mark.parametrize(("kind", "epoch"), [("centrifugal", "e"), ("protobuf", "~now")])
    def test_it_goes_on_from_what_it_was_sent(self, kind: Kind, epoch: str) -> None:
        """One learns the epoch from the first publication, the other never does."""
        viewer, line = a_subscriber(kind)
        viewer._take([pub(1, epoch="e"), pub(2)], "")
        viewer._down()
        viewer._wire = line
        viewer._introduce()
        subscribe = line.said[-1]["subscribe"]
        assert (subscribe["recover"], subscribe["offset"], subscribe["epoch"]) == (True, 2, epoch)
        viewer._take([{"id": 1, "connect": {}}], "")
        history = [pub(3)["push"]["pub"], pub(4)["push"]["pub"]]
        told = {"recovered": True, "epoch": "e", "offset": "2", "publications": history}
        viewer._take([{"id": line.said[-1]["id"], "subscribe": told}, pub(5)], "")
        verdict = judged(a_book(5), viewer)
        assert verdict.balances, verdict.notes
        assert verdict.delivered == 5

    def test_what_is_jumped_over_is_missing(self) -> None:
        viewer, _ = a_subscriber()
        viewer._take([pub(1, epoch="e"), pub(3)], "")
        assert judged(a_book(3), viewer).breaches == {Breach.SILENT: 1}

    def test_where_numbers_were_given_out_again_it_is_not_told(self) -> None:
        """It says no time: nobody can know which of the two it has."""
        viewer, _ = a_subscriber()
        viewer._take([pub(1, epoch="e")], "")
        book = a_book(2)
        for number in (8, 9):
            book.sent.add(number)
            book.acks.append(Ack(number, Place("e", 2), inf, inf))
        assert judged(book, viewer).balances
        reading = Reading(book, resumes=True, once=True)
        reading.read(viewer.logs[ROOM])
        assert audited(book, viewer.logs[ROOM], reading).breaches == {Breach.SILENT: 3}

    def test_what_comes_again_is_twice(self) -> None:
        viewer, _ = a_subscriber()
        viewer._take([pub(1, epoch="e"), pub(2)], "")
        viewer._take([pub(2)], "")
        assert judged(a_book(2), viewer).breaches == {Breach.TWICE: 1}

    def test_a_position_that_is_another_epochs_is_found(self) -> None:
        """Who knows no epoch may be taken at its number in one that it has seen nothing of."""
        viewer, line = a_subscriber("protobuf")
        viewer._take([pub(1), pub(2)], "")
        book = a_book(2)
        for seq in (1, 2, 3):
            book.sent.add(10 + seq)
            book.acks.append(Ack(10 + seq, Place("f", seq), inf, inf))
        viewer._down()
        viewer._wire = line
        viewer._introduce()
        assert line.said[-1]["subscribe"]["epoch"] == "~now"
        last = {"data": {"t": "msg", "text": "13"}, "offset": 3}
        told = {"recovered": True, "epoch": "f", "offset": "2", "publications": [last]}
        viewer._take([{"id": line.said[-1]["id"], "subscribe": told}], "")
        assert judged(book, viewer).breaches[Breach.SILENT] == 2

    def test_a_place_that_was_taken_back_has_no_publication(self) -> None:
        viewer, line = a_subscriber()
        viewer._join(ROOM)
        told = {"recovered": True, "epoch": "e", "publications": [pub(2)["push"]["pub"]]}
        viewer._take([{"id": line.said[-1]["id"], "subscribe": told}], "")
        joined = viewer.logs[ROOM][-1]
        assert isinstance(joined, Joined)
        assert joined.history == [(1, NOTHING), (2, 2)]

    def test_in_a_crowd_what_is_jumped_over_was_left_out_or_merged(self) -> None:
        viewer, _ = a_subscriber(crowded=True)
        merged = {"t": "msg", "text": "5", "times": 2}
        viewer._take([pub(2, epoch="e"), pub(5, data=merged)], "")
        viewer._take([pub(9)], "")
        live, shed = viewer.logs[ROOM][-2:]
        assert isinstance(live, Live)
        assert (live.seq, live.to, live.places, live.merged) == (1, 8, [(2, 2), (5, 5)], ((5, 2),))
        assert isinstance(shed, Shed)
        assert (shed.seq, shed.left_out) == (8, 5)  # 1, 3, 4, and two of 6 to 8
        viewer._welcomed = True
        viewer._down()
        live, shed, _ = viewer.logs[ROOM][-3:]
        assert isinstance(live, Live)
        assert isinstance(shed, Shed)
        assert (live.seq, live.to, shed.left_out) == (9, 9, 0)

    def test_it_answers_pings_and_subscribes_again(self) -> None:
        viewer, line = a_subscriber()
        viewer._take([{}], "")
        assert line.said[-1] == {}
        out = {"code": 2500, "reason": "insufficient state"}
        viewer._take([{"push": {"channel": ROOM, "unsubscribe": out}}, pub(9)], "")
        assert line.said[-1]["subscribe"]["recover"]
        assert not [item for item in viewer.logs[ROOM] if isinstance(item, Live | Odd)]
        viewer._take([{"push": {"channel": ROOM, "unsubscribe": {"code": 2000}}}], "")
        assert isinstance(viewer.logs[ROOM][-1], Odd)


class Tube(GoimSocket):
    def __init__(self) -> None:
        self.told: list[int] = []

    def tell(self, op: int, fields: dict[str, Any] | None = None) -> None:
        self.told.append(op)


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Watcher:
    viewer = Watcher("v", Way("goim", False, False), [ROOM], [1], random.Random(1), 0)
    viewer._wire = Tube()
    monkeypatch.setattr(viewer, "_beat", lambda wire: None)
    return viewer


def word(**fields: Any) -> dict[str, Any]:
    return {"op": 5, "body": json.dumps(fields).encode()}


class TestWatcher:
    def test_it_is_in_when_it_is_told_how_many_are(self, watcher: Watcher) -> None:
        watcher._introduce()
        watcher._take([{"op": 8, "body": b'{"code":0}'}], "")
        assert watcher.logs[ROOM] == []
        watcher._take([word(cmd="WATCHED_CHANGE"), word(cmd="ONLINE_RANK_COUNT")], "")
        assert [type(item) for item in watcher.logs[ROOM]] == [Joined]

    @pytest.mark.parametrize(
        "said",
        [
            word(cmd="DANMU_MSG", info=[[0, 1, 25, 0, 0, 7, 0], "12 abc", []]),
            word(cmd="SEND_GIFT", data={"giftName": "12", "tid": "7"}),
            word(cmd="SUPER_CHAT_MESSAGE", data={"message": "12", "id": 7}),
        ],
        ids=["chat", "gift", "superchat"],
    )
    def test_a_message_has_its_place(self, watcher: Watcher, said: dict[str, Any]) -> None:
        watcher._take([word(cmd="WATCHED_CHANGE"), said], "")
        live = watcher.logs[ROOM][-1]
        assert isinstance(live, Live)
        assert (live.seq, live.places) == (7, [(7, 12)])
        assert watcher.has_come_to(ROOM, Place("e", 7), 12)
        assert not watcher.has_come_to(ROOM, Place("e", 7), 13)

    def test_it_begins_anew(self, watcher: Watcher) -> None:
        watcher._welcomed = True
        watcher._take([word(cmd="WATCHED_CHANGE")], "")
        watcher._down()
        assert watcher.at == {}
        assert isinstance(watcher.logs[ROOM][-1], Cut)

    def test_packets_are_read_as_they_come(self) -> None:
        read: Callable[[bytes], list[dict[str, Any]]] = Tube()._decoded
        body = b'{"cmd":"X"}'
        one = struct.pack(">IHHII", 16 + len(body), 16, 0, 5, 0) + body
        assert [found["body"] for found in read(one + one)] == [body, body]
