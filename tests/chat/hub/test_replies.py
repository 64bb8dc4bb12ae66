"""Frames for many: everything, in order, and none larger than a viewer's buffer takes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import UNSET

from chat.bus.entries import Cleared, Deleted, Entry, Ruled, Said, pack
from chat.bus.store import Outgoing, RoomState
from chat.hub.replies import PLACES
from chat.ops.engine import EmbeddedEngine
from chat.wire.commands import Moderate
from chat.wire.schema import Expiring
from shard.counters import Count
from tests.chat.hub.test_enforcement import order
from tests.chat.rig import Shard, publish, until
from tests.whole import whole

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix) as shard:
        yield shard


@pytest.fixture
def gate(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Until it is set the room "b" is not answered for."""
    opened = asyncio.Event()
    open_room = shard.store.open_room

    async def open_late(room: str, **how: Any) -> RoomState:
        if room == "b":
            await opened.wait()
        return await open_room(room, **how)

    monkeypatch.setattr(shard.store, "open_room", open_late)
    return opened


class Watcher:
    """An event stream, read as it comes: (id, events), a comment as None."""

    def __init__(self, shard: Shard, query: str, last_id: str = "") -> None:
        self.shard = shard
        self.received = b""
        self.close_code = 0
        self.socket = socket.create_connection(shard.group._door._listener.getsockname())
        self.socket.setblocking(False)
        head = f"GET /sse{query} HTTP/1.1\r\nHost: x\r\n"
        if last_id:
            head += f"Last-Event-ID: {last_id}\r\n"
        self.socket.sendall(f"{head}\r\n".encode())

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """All events so far."""
        try:
            while data := self.socket.recv(1 << 16):
                self.received += data
        except BlockingIOError:
            pass
        _, _, stream = self.received.partition(b"\r\n\r\n")
        found = []
        for event in stream.split(b"\n\n")[:-1]:
            fields = dict(line.split(b": ", 1) for line in event.split(b"\n"))
            if fields.get(b"event") == b"close":
                self.close_code = json.loads(fields[b"data"])["code"]
            elif b"data" in fields:
                found.append((fields.get(b"id", b"").decode(), json.loads(fields[b"data"])))
        return found

    def of(self, t: str) -> list[dict[str, Any]]:
        return [one for _, events in self.read() for one in whole(events) if one["t"] == t]

    def texts(self, room: str) -> list[str]:
        """What was said in a room, as far as it came."""
        histories = [one["history"] for one in self.of("joined") if one["room"] == room]
        messages = [*(said for one in histories for said in one), *self.of("msg")]
        return [message["text"] for message in messages if message["room"] == room]

    @property
    def last_id(self) -> str:
        return next((one for one, _ in reversed(self.read()) if one), "")

    @property
    def place(self) -> str:
        """That, without times."""
        return ",".join("-".join(one.split("-")[:2]) for one in self.last_id.split(","))


async def enter(shard: Shard, room: str, entry: Entry) -> None:
    """Something takes the next place of a room."""
    await shard.store.publish([Outgoing(room, "u", pack(entry))], "e00001", 1_000, 0)


class TestEventStreams:
    async def test_each_batch_comes_with_the_position_behind_it(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "1", "2")
        with Watcher(shard, f"?room={ROOM}") as watcher:
            await until(lambda: watcher.of("joined"))
            assert watcher.place == "e00001-2"
            await publish(shard.store, ROOM, "3")
            await until(lambda: [one["text"] for one in watcher.of("msg")] == ["3"])
            [said] = watcher.of("msg")
            assert watcher.last_id == f"e00001-3-{said['ts']}"
        await until(lambda: not shard.group.connections)

    async def test_those_in_several_rooms_have_a_position_in_each(self, shard: Shard) -> None:
        with (
            Watcher(shard, "?room=a&room=b") as both,
            Watcher(shard, "?room=b&room=a") as reverse,
            Watcher(shard, "?room=b") as single,
        ):
            watchers = (both, reverse, single)
            await until(lambda: [len(one.of("joined")) for one in watchers] == [2, 2, 1])
            await publish(shard.store, "a", "a1", "a2", epoch="x")
            await publish(shard.store, "b", "b1", epoch="x")
            await until(lambda: [len(one.of("msg")) for one in watchers] == [3, 3, 1])
            epochs = [shard.service.rooms.by_name[room].position.epoch for room in "ab"]
            places = [f"{epochs[0]}-2", f"{epochs[1]}-1"]
            assert both.place == ",".join(places)
            assert reverse.place == ",".join(reversed(places))
            assert single.place == places[1]
            times = {one["seq"]: one["ts"] for one in both.of("msg") if one["room"] == "a"}
            assert both.last_id.split(",") == [f"{places[0]}-{times[2]}", single.last_id]
        await until(lambda: not shard.group.connections)

    async def test_of_a_room_that_waits_it_is_where_they_came_from(
        self, shard: Shard, gate: asyncio.Event
    ) -> None:
        await publish(shard.store, "a", "a1", "a2")
        await publish(shard.store, "b", "b1", "b2")
        with (
            Watcher(shard, "?room=a&room=b") as new,
            Watcher(shard, "?room=a&room=b", "e00001-1,e00001-1") as back,
        ):
            await until(lambda: len(new.of("joined")) == len(back.of("joined")) == 1)
            await publish(shard.store, "a", "a3")
            await until(lambda: new.of("msg") and back.of("msg"))
            assert (new.place, back.place) == ("e00001-3,", "e00001-3,e00001-1")
            gate.set()
            await until(lambda: len(new.of("joined")) == len(back.of("joined")) == 2)
            assert new.place == back.place == "e00001-3,e00001-2"
            assert new.last_id == back.last_id
            assert back.texts("b") == ["b2"]
        await until(lambda: not shard.group.connections)

    async def test_a_late_answer_is_not_ahead_of_a_fan_out_under_way(
        self, shard: Shard, gate: asyncio.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await publish(shard.store, "b", "b1")
        with Watcher(shard, "?room=a&room=b") as watcher:
            await until(lambda: watcher.of("joined"))
            await publish(shard.store, "a", "a1")
            await until(lambda: watcher.of("msg"))
            with monkeypatch.context() as patch:
                patch.setattr(type(shard.group), "fanning_out", property(lambda _: True))
                gate.set()
                await until(lambda: len(watcher.of("joined")) == 2)
            assert watcher.place == "e00001-1,"
        await until(lambda: not shard.group.connections)

    async def test_a_late_answer_does_not_overtake_what_says_that_it_waits(
        self, shard: Shard
    ) -> None:
        await publish(shard.store, "b", "b1")
        with Watcher(shard, "?room=a&room=b") as watcher:
            await until(lambda: len(watcher.of("joined")) == 2)
            room = shard.service.rooms.by_name["b"]
            [fd] = [fd for fds in room.members for fd in fds]
            waits = b'id: e00001-1,\ndata: [{"t":"pong"}]\n\n'
            shard.group.fan_out([fd], waits, lane=PLACES)
            shard.hub._replies.answer(fd, room, UNSET)
            await until(lambda: len(watcher.of("joined")) == 3)
            names = [event["t"] for _, events in watcher.read() for event in events]
            assert names[-2:] == ["pong", "joined"]
        await until(lambda: not shard.group.connections)

    async def test_what_is_said_to_one_is_not_ahead_of_a_fan_out_under_way(
        self, shard: Shard
    ) -> None:
        hub = shard.hub
        with Watcher(shard, f"?room={ROOM}") as watcher:
            await until(lambda: watcher.of("joined"))
            await publish(shard.store, ROOM, "1")
            await until(lambda: watcher.of("msg"))
            room = shard.service.rooms.by_name[ROOM]
            [fd] = [fd for fds in room.members for fd in fds]
            shard.group.fan_out([fd], b": what is under way\n\n", lane=room)
            room.position.seq += 1
            hub._replies.send(fd, [Expiring(5)])
            await until(lambda: watcher.of("expiring"))
            assert watcher.place == "e00001-1"
            room.position.seq -= 1
        await until(lambda: not shard.group.connections)

    async def test_coming_back_with_it_misses_nothing(self, shard: Shard) -> None:
        await publish(shard.store, "a", "a1")
        await publish(shard.store, "b", "b1")
        with Watcher(shard, "?room=a&room=b") as watcher:
            await until(lambda: watcher.place == "e00001-1,e00001-1")
            last_id = watcher.last_id
        await publish(shard.store, "a", "a2")
        await publish(shard.store, "b", "b2", "b3")
        with Watcher(shard, "?room=a&room=b", last_id) as watcher:
            # Where the shard has not read them yet, they follow what was missed.
            await until(lambda: len(watcher.texts("a")) + len(watcher.texts("b")) == 3)
            assert (watcher.texts("a"), watcher.texts("b")) == (["a2"], ["b2", "b3"])
            assert [joined["recovered"] for joined in watcher.of("joined")] == [True, True]
        await until(lambda: not shard.group.connections)

    async def test_of_a_room_one_was_sent_out_of_an_empty_part_stays_in_its_place(
        self, shard: Shard
    ) -> None:
        for room in "abc":
            await publish(shard.store, room, f"{room}1")
        with Watcher(shard, "?room=a&room=b&room=c") as watcher:
            await until(lambda: watcher.place == "e00001-1,e00001-1,e00001-1")
            uid = watcher.of("welcome")[0]["uid"]
            for room, place in (("b", "e00001-1,,e00001-1"), ("a", ",,e00001-1")):
                await order(shard, Moderate(room, "kick", uid=uid))
                await until(lambda place=place: watcher.place == place)  # type: ignore[misc]
            await publish(shard.store, "a", "a2")
            await publish(shard.store, "c", "c2")
            await until(lambda: watcher.place == ",,e00001-2")
            assert watcher.texts("a") == ["a1"]
            last_id = watcher.last_id
        await publish(shard.store, "c", "c3")
        with Watcher(shard, "?room=a&room=b&room=c", last_id) as again:
            await until(lambda: len(again.of("joined")) == 3 and "c3" in again.texts("c"))
            assert again.texts("c") == ["c3"]
            assert again.place == "e00001-2,e00001-1,e00001-3"
        await until(lambda: not shard.group.connections)
        assert not shard.hub._members._vacant

    async def test_one_who_missed_something_is_sent_away_to_come_back_with_it(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        limits = {"backlog_soft_bytes": 5_000, "send_buffer_bytes": 4_096}
        async with Shard(valkey.url, prefix, limits=limits) as shard:
            with Watcher(shard, f"?room={ROOM}") as watcher:
                await until(lambda: watcher.of("joined"))
                watcher.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
                number = 0
                while not shard.count(Count.DROPPED_SLOW):
                    number += 1
                    await publish(shard.store, ROOM, str(number) * 100)
                await publish(shard.store, ROOM, "after")
                await enter(shard, ROOM, Deleted(1, 5))
                here = shard.service.rooms.by_name[ROOM].position
                await until(lambda: here.seq == number + 2)
                [fd] = shard.group.open_connections()
                assert b"id:" not in shard.service.handler._replies.frame(fd, [b"{}"])
                await until(lambda: watcher.read() and watcher.close_code == 4001)
                seen = [message["text"] for message in watcher.of("msg")]
                last_id = watcher.last_id
            assert seen == [str(i) * 100 for i in range(1, len(seen) + 1)], "a hole before the end"
            assert len(seen) < number
            with Watcher(shard, f"?room={ROOM}", last_id) as again:
                await until(lambda: again.of("joined"))
                [joined] = again.of("joined")
                assert joined["recovered"]
                *missed, last = joined["history"]
                assert [message["text"] for message in missed] == [
                    *(str(i) * 100 for i in range(len(seen) + 1, number + 1)),
                    "after",
                ]
                assert (last["t"], last["target"]) == ("delete", 1)
            await until(lambda: not shard.group.connections)


class TestControlEvents:
    async def test_end_a_batch_and_take_a_place(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await shard.service._reader.stop()  # so that all of it is one batch
            stream = shard.store.keys.fanout(shard.store.keys.partition(ROOM))
            [start] = await shard.store.last_ids([stream])
            for entry in (
                *(Said("u", "n", "one", 1, "top", 25, 1), Said("u", "u", "two", 1, "top", 25, 2)),
                *(Deleted(1, 3), Cleared("u", 4), Cleared(None, 5), Ruled({"slow_s": 2}, 6)),
                Said("u", "u", "seven", 1, "top", 25, 7),
            ):
                await enter(shard, ROOM, entry)
            tail = shard.store.tail(stream, 0.1)
            [(_, entries)] = await tail.read({stream: start}, 100)
            await tail.close()
            shard.service.rooms.deliver(entries)
            await viewer.hear("msg", text="seven")
            got = [event for event in viewer.events if event["t"] not in ("welcome", "joined")]
            assert [(event["t"], event["seq"]) for event in got] == [
                *(("msg", 1), ("msg", 2), ("delete", 3), ("clear", 4), ("clear", 5)),
                *(("state", 6), ("msg", 7)),
            ]
            assert (got[2]["target"], got[3]["uid"], "uid" in got[4]) == (1, "u", False)
            assert got[5]["state"] == {"slow_s": 2}

    async def test_are_in_the_history_for_who_comes_later(self, shard: Shard) -> None:
        await enter(shard, ROOM, Said("u", "n", "one", 1, "top", 25, 1))
        await enter(shard, ROOM, Deleted(1, 3))
        await enter(shard, ROOM, Ruled({"slow_s": 2}, 6))
        async with shard.viewer(binary=True) as viewer:
            joined = await viewer.join(ROOM, ("e00001", 1))
            assert joined["recovered"]
            assert joined["history"] == [
                {"room": ROOM, "seq": 2, "t": "delete", "target": 1, "ts": 3},
                {"room": ROOM, "seq": 3, "t": "state", "state": {"slow_s": 2}, "ts": 6},
            ]
