"""Viewers that speak other people's protocols, as their stock clients do.

Rules. As a Viewer: it judges nothing, and writes down what it was told in the words of a log. Who
speaks the Centrifugal protocol comes back by (epoch, offset) and takes whatever it is sent; it
knows no holes, so its log has the places it passed over in its batches. One of them learns the
epoch of a room from its first publication, the other, as most stock clients, does not. Who speaks
goim's has no position at all; what it is owed is `watchers`' to know.
"""

import asyncio
import base64
import json
import time
from itertools import count
from typing import Any, Final

from tests.faults.books import NOTHING, UNSPOKEN, Book, Joined, Live, Log, Place, Places, Shed
from tests.faults.foreignwires import CentrifugalSocket, GoimSocket
from tests.faults.texts import number_of
from tests.faults.viewers import Viewer
from tests.faults.wires import Event

CONNECT: Final = 1
"""The id of the first command."""
AGAIN_S: Final = 1.0
INSUFFICIENT: Final = 2500
UNSAID: Final = "~"
HEARTBEAT_S: Final = 20.0


class Foreigner(Viewer):
    """What both have in common: `numbers` are those of the messages it was sent, by room."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.numbers: dict[str, set[int]] = {room: set() for room in self.rooms}

    @property
    def _key(self) -> str:
        return self._token[0].removeprefix("token=") if self._token else ""

    def has_come_to(self, room: str, place: Place, number: int) -> bool:
        return number in self.numbers[room]


class Subscriber(Foreigner):
    """One of the Centrifugal protocol. What it was told in place of an unspoken room's epoch is
    UNSPOKEN in its log; it says it as it was told."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ids = count(CONNECT + 1)
        self._subscribes: dict[int, str] = {}
        self._batches: dict[str, tuple[Places, list[tuple[int, int]]]] = {}
        self._held: dict[str, Live] = {}
        self._unsaid: dict[str, str] = {}

    def _dial(self, port: int) -> CentrifugalSocket:
        self._subscribes, self._batches = {}, {}
        protobuf = self.way.kind == "protobuf"
        url = f"ws://127.0.0.1:{port}/connection/websocket"
        subprotocol = "centrifuge-protobuf" if protobuf else ""
        to = (self._take, self._odd, self._over.set, self._introduce)
        return CentrifugalSocket(url, protobuf, subprotocol, *to)

    def _introduce(self) -> None:
        connect = {"id": CONNECT, "connect": {"token": self._key} if self._key else {}}
        self._say([connect, *map(self._subscribe, self.rooms)])

    def _say(self, commands: list[Event]) -> None:
        assert isinstance(self._wire, CentrifugalSocket)
        self._wire.together(commands)

    def _subscribe(self, room: str) -> Event:
        ref, since = next(self._ids), self.at.get(room)
        self._subscribes[ref] = room
        self._asked[room] = since
        wanted: dict[str, Any] = {"channel": room}
        if since is not None:
            epoch = since.epoch or self._unsaid.get(room, UNSPOKEN)
            wanted |= {"recover": True, "epoch": epoch, "offset": since.seq}
        return {"id": ref, "subscribe": wanted}

    def _join(self, room: str) -> None:
        self._say([self._subscribe(room)])

    # --- what it is told -----------------------------------------------------------------------

    def _take(self, events: list[Event], position: str) -> None:
        for reply in events:
            push = reply.get("push", {})
            if "pub" in push:
                self._publication(push["channel"], push["pub"])
                continue
            self._frame_ends()
            if not reply:
                self._say([{}])
            elif "unsubscribe" in push:
                self._sent_out(push["channel"], push["unsubscribe"])
            elif reply.get("id") == CONNECT:
                self._welcomed = "connect" in reply
            elif reply.get("id") in self._subscribes:
                self._answered(self._subscribes.pop(reply["id"]), reply)
            elif not push:
                self._odd(f"a reply to nothing: {reply}")
        self._frame_ends()

    def _sent_out(self, room: str, why: Event) -> None:
        if why["code"] != INSUFFICIENT:
            self._odd(f"it was sent out of {room}: {why}")
        self._join(room)

    def _answered(self, room: str, reply: Event) -> None:
        if "error" in reply:
            if not reply["error"].get("temporary"):
                self._odd(f"a subscribe was refused: {reply}")
            asyncio.get_running_loop().call_later(AGAIN_S, self._join_again, room, self._wire)
            return
        told, since = reply["subscribe"], self._asked.pop(room)
        recovered = since is not None and told.get("recovered", False)
        epoch, seq = told.get("epoch", UNSPOKEN), int(told.get("offset", 0))
        if epoch.startswith(UNSAID):
            self._unsaid[room], epoch = epoch, UNSPOKEN
        history: Places = []
        for pub in told.get("publications", ()):
            offset, data = _read(pub)
            history += [(hole, NOTHING) for hole in range(_last(history, seq) + 1, offset)]
            history.append((offset, self._number(room, Place(epoch, offset), data)))
        place = Place(epoch, _last(history, seq))
        if since is not None and recovered and seq != since.seq:
            self._odd(f"recovered from {seq} who was at {since}")
        self._known_no_further(room)
        self.logs[room].append(Joined(time.monotonic(), place, since, recovered, history))
        self.at[room] = place

    def _publication(self, room: str, pub: Event) -> None:
        self._heard()
        if room in self._asked:
            return  # what answers the subscribe has it, or it comes behind that
        offset, data = _read(pub)
        if self.way.kind == "centrifugal" and "epoch" in pub:
            self.at[room] = self.at[room].in_epoch(pub["epoch"])
        at = self.at[room]
        number = self._number(room, Place(at.epoch, offset), data)
        if offset <= at.seq:
            self._frame_ends()
            self._known_no_further(room)
            self.logs[room].append(Live(at.epoch, offset, offset, [(offset, number)]))
            return
        places, merged = self._batches.setdefault(room, ([], []))
        places.append((offset, number))
        if "times" in data:
            merged.append((offset, data["times"]))
        last = places[-2][0] if len(places) > 1 else at.seq
        if offset <= last:
            self._odd(f"{offset} behind {last} in {room}")

    def _frame_ends(self) -> None:
        for room, (places, merged) in self._batches.items():
            at, to = self.at[room], places[-1][0]
            live = Live(at.epoch, at.seq + 1, to, places, tuple(merged), time.monotonic())
            if self.crowded:
                first = places[0][0]
                begin = first if self._known_up_to(room, first - 1) else at.seq + 1
                self._held[room] = live._replace(seq=begin)
            else:
                self.logs[room].append(live)
            self.at[room] = Place(at.epoch, to)
        self._batches.clear()

    def _known_up_to(self, room: str, to: int) -> bool:
        """What the last frame left out of a crowded room, now that it is known how far it went: all
        that was merged or shed, though nobody says so. Whether there is one."""
        live = self._held.pop(room, None)
        if live is None:
            return False
        holes = to + 1 - live.seq - len(live.places)
        shed = max(0, holes - sum(times - 1 for _, times in live.merged))
        self.logs[room].append(live._replace(to=to))
        self.logs[room].append(Shed(live.at, to if shed else 0, shed))
        return True

    def _known_no_further(self, room: str) -> None:
        """Nothing follows the last frame, so what it left out at its end is not known."""
        if room in self._held:
            live = self._held[room] = self._held[room]._replace(merged=())
            self._known_up_to(room, live.to)

    def _down(self) -> None:
        for room in self.rooms:
            self._known_no_further(room)
        super()._down()

    def _number(self, room: str, place: Place, data: Event) -> int:
        if data["t"] != "msg":
            self.controls[room].add(place)
            return NOTHING
        number = number_of(data["text"])
        self.numbers[room].add(number)
        return number


class Watcher(Foreigner):
    """One of goim's framing, in one room. `protover` says how it is packed."""

    protover = 0

    def _dial(self, port: int) -> GoimSocket:
        to = (self._take, self._odd, self._over.set, self._introduce)
        return GoimSocket(f"ws://127.0.0.1:{port}/sub", True, "", *to)

    def _introduce(self) -> None:
        assert isinstance(self._wire, GoimSocket)
        who = {"room_id": self.rooms[0], "protover": self.protover, "key": self._key}
        self._wire.tell(7, who)

    def _take(self, events: list[Event], position: str) -> None:
        for packet in events:
            match packet["op"]:
                case 8:
                    self._welcomed = json.loads(packet["body"])["code"] == 0
                    self._beat(self._wire)
                case 5:
                    self._word(json.loads(packet["body"]))

    def _beat(self, wire: Any) -> None:
        if self._wire is wire and isinstance(wire, GoimSocket):
            wire.tell(2)
            asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat, wire)

    def _word(self, word: Event) -> None:
        [room] = self.rooms
        if word["cmd"] in ("WATCHED_CHANGE", "ONLINE_RANK_COUNT") and room not in self.at:
            self.at[room] = Place(UNSPOKEN, 0)
            self.logs[room].append(Joined(time.monotonic(), self.at[room], None, False, []))
        if (said := _said(word)) is not None:
            self._heard()
            number, seq = said
            if room not in self.at:
                self._odd(f"{number} at {seq} before it was in {room}")
            self.numbers[room].add(number)
            live = Live(UNSPOKEN, seq, seq, [(seq, number)], at=time.monotonic())
            self.logs[room].append(live)


def _said(word: Event) -> tuple[int, int] | None:
    """The number and the place of a message; None for whatever else there is a word for."""
    match word:
        case {"cmd": "DANMU_MSG", "info": [[_, _, _, _, _, seq, *_], text, *_]}:
            return number_of(text), seq
        case {"cmd": "SEND_GIFT", "data": {"giftName": text, "tid": seq}}:
            return number_of(text), int(seq)
        case {"cmd": "SUPER_CHAT_MESSAGE", "data": {"message": text, "id": seq}}:
            return number_of(text), int(seq)
    return None


def _read(pub: Event) -> tuple[int, Event]:
    """A publication's offset and data; in Protobuf that is JSON, which its dict has as base64."""
    data = pub["data"]
    read: Event = json.loads(base64.b64decode(data)) if isinstance(data, str) else data
    return int(pub["offset"]), read


def _last(history: Places, seq: int) -> int:
    return history[-1][0] if history else seq


def named(book: Book, log: Log) -> Log:
    """A log with the epochs of which the viewer was not told: those in which what it was sent was
    acknowledged."""
    epochs = {(ack.place.seq, ack.number): ack.place.epoch for ack in book.acks}
    epoch, found = UNSPOKEN, Log()
    for item in log:
        if isinstance(item, Joined) and item.place.seq:
            epoch = item.place.epoch
        elif isinstance(item, Live) and item.epoch == UNSPOKEN:
            known = [epochs[place] for place in item.places if place in epochs]
            epoch = known[-1] if known else epoch
            item = item._replace(epoch=epoch)
        found.append(item)
    return found
