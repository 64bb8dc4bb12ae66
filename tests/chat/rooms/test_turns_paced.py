"""Large answers at the pace of who reads them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from shard.counters import Count
from tests.chat.rig import BOUND_S, Event, Shard, outgoing, until

ROOM = "live:42"
HISTORY = 500
TEXT = "前方高能反應" * 50
ANSWER = HISTORY * len(TEXT.encode())
"""Bytes of an answer with a whole history, at least."""
FEW = 2 * ANSWER


def a_shard(valkey: EmbeddedEngine, prefix: str) -> Shard:
    """A shard whose answers are large beside what it may have given out."""
    rooms = {"history": HISTORY, "history_on_join": 5, "linger_s": 3_600}
    limits = {"resume_bytes": FEW, "commands_burst": 1_000, "rooms_per_connection": 10}
    heartbeat = {"ping_s": 3_600}  # ticks are faster here than answers to pings
    return Shard(valkey.url, prefix, rooms=rooms, limits=limits, heartbeat=heartbeat)


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with a_shard(valkey, prefix) as shard:
        yield shard


async def fill(shard: Shard, *rooms: str, text: str = TEXT) -> None:
    """As much as a history holds."""
    for room in rooms:
        await shard.store.publish([outgoing(room, text)] * HISTORY, "e00001", 1_000, 0)


@asynccontextmanager
async def small(shard: Shard, query: str = "") -> AsyncIterator[ClientConnection]:
    """A client whose kernel takes little on its behalf."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect(shard._listener.getsockname())
    sock.setblocking(False)
    async with connect(
        shard.address + query,
        sock=sock,
        subprotocols=[Subprotocol("danmaku.json")],
        compression=None,
        proxy=None,
        ping_interval=None,
        max_queue=1,
        max_size=None,
        close_timeout=1,
    ) as connection:
        yield connection


async def ask(connection: ClientConnection, *rooms: str, seq: int = 0) -> None:
    for ref, room in enumerate(rooms):
        since = {"epoch": "e00001", "seq": seq}
        await connection.send(json.dumps({"t": "join", "room": room, "since": since, "ref": ref}))


async def read_until(
    connection: ClientConnection, done: Callable[[list[Event]], object]
) -> list[Event]:
    """Read until `done` of all events so far."""
    events: list[Event] = []
    async with asyncio.timeout(BOUND_S):
        while not done(events):
            events += json.loads(await connection.recv())
    return events


def joined(events: list[Event]) -> list[Event]:
    return [event for event in events if event["t"] == "joined"]


class TestOneReader:
    async def test_it_gets_all_it_asked_for_one_after_the_other(self, shard: Shard) -> None:
        """Together they are more than its backlog may ever be."""
        rooms = [f"r{i}" for i in range(4)]
        await fill(shard, *rooms)
        assert len(rooms) * ANSWER > shard.config.limits.backlog_hard_bytes
        async with small(shard) as reader:
            await ask(reader, *rooms)
            await until(lambda: shard.service._resume._turns._queue.outstanding)
            assert shard.group.backlog_total < 2 * ANSWER
            events = await read_until(reader, lambda events: len(joined(events)) == 4)
            assert {event["ref"] for event in joined(events)} == {0, 1, 2, 3}
            for event in joined(events):
                assert (event["recovered"], len(event["history"])) == (True, HISTORY)
        assert shard.count(Count.CLOSED_SLOW) == 0

    async def test_what_is_said_meanwhile_comes_behind_it(self, shard: Shard) -> None:
        await fill(shard, ROOM)
        async with small(shard) as reader, shard.viewer() as other:
            await ask(reader, ROOM)
            await until(lambda: shard.service._resume._turns._queue.outstanding)
            await other.join(ROOM)
            for i in range(20):
                await other.say(ROOM, f"live {i}")
            events = await read_until(
                reader, lambda events: events and events[-1].get("to") == HISTORY + 20
            )
            spans = [(event["seq"], event["to"]) for event in events if event["t"] == "msgs"]
            assert spans[0][0] == HISTORY + 1
            assert all(a[1] + 1 == b[0] for a, b in pairwise(spans))
        assert shard.count(Count.DROPPED_SLOW) == 0

    async def test_rooms_in_its_address_are_no_heap_either(self, shard: Shard) -> None:
        names = [f"r{i}" for i in range(10)]
        await fill(shard, *names, text="x" * 2_000)
        limits = {"resume_bytes": FEW}
        rooms = {"history": HISTORY, "history_on_join": 500}
        async with Shard(shard.url, shard.prefix, rooms=rooms, limits=limits) as large:
            async with large.viewer() as opener:
                for name in names:
                    await opener.join(name)
                query = "?" + "&".join(f"room={name}" for name in names)
                async with small(large, query) as reader:
                    await until(lambda: large.group.backlog_total)
                    assert large.group.backlog_total < 1_500_000
                    await read_until(reader, lambda events: len(joined(events)) == 10)
            assert large.count(Count.CLOSED_SLOW) == 0

    async def test_what_it_takes_back_is_not_sent(self, shard: Shard) -> None:
        await fill(shard, "a", "b", "c")
        async with small(shard) as reader:
            await ask(reader, "a", "b", "c")
            await until(lambda: shard.service._resume._turns._queue.outstanding)
            await reader.send(json.dumps({"t": "leave", "room": "b"}))
            events = await read_until(reader, lambda events: len(joined(events)) == 2)
            assert [event["room"] for event in joined(events)] == ["a", "c"]
            assert [event["room"] for event in events if event["t"] == "left"] == ["b"]
        assert all(not room.resuming for room in shard.service.rooms.by_name.values())

    async def test_joins_that_wait_are_bounded(self, shard: Shard) -> None:
        await fill(shard, ROOM)
        async with small(shard) as reader:
            await ask(reader, *[ROOM] * 15)
            await until(lambda: shard.count(ChatCount.COMMANDS) == 15)
            events = await read_until(reader, lambda events: len(joined(events)) >= 10)
            refused = [event for event in events if event["t"] == "error"]
            assert {event["code"] for event in refused} == {"rate_limited"}
            assert all(event["retry_after"] > 0 for event in refused)
            assert 0 < len(refused) == shard.count(ChatCount.REFUSED_RATE_LIMITED) <= 5


class TestManyWhoDoNotRead:
    async def test_what_they_are_sent_together_is_bounded(self, shard: Shard) -> None:
        rooms = [f"r{i}" for i in range(6)]
        await fill(shard, *rooms)
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(small(shard)) for _ in range(10)]
            for one in crowd:
                await ask(one, *rooms)
            await until(lambda: shard.count(ChatCount.COMMANDS) == 60)
            await until(lambda: not shard.service._resume._turns._queue.affords)
            assert shard.group.backlog_total < FEW + 2 * ANSWER
            # Who never reads is closed in its time, and the next have theirs.
            resume = shard.service._resume._turns
            while shard.count(Count.CONNECTIONS):
                shard.advance(shard.config.limits.stall_s + 1)
                await until(lambda: not resume._serving and not resume._queue.due)
                shard.advance(shard.config.heartbeat.close_s + 1)  # half a frame is kept till then
                assert shard.group.backlog_total < FEW + 2 * ANSWER
            for one in crowd:
                one.transport.abort()
        assert shard.count(Count.CLOSED_STALLED) + shard.count(Count.CLOSED_SLOW) == 10
        assert resume._queue.outstanding == 0

    async def test_who_reads_next_to_nothing_does_not_hold_its_share_for_ever(
        self, shard: Shard
    ) -> None:
        await fill(shard, ROOM)
        async with AsyncExitStack() as stack:
            slow = [await stack.enter_async_context(small(shard)) for _ in range(4)]
            for one in slow:
                await ask(one, ROOM)
            await until(lambda: not shard.service._resume._turns._queue.affords)
            async with shard.viewer() as other:
                await other.do("join", room=ROOM, ref=1, since={"epoch": "e00001", "seq": 0})
                await until(lambda: shard.service._resume._turns._queue.length(other_fd(shard)))
                for _ in range(shard.config.limits.stall_s + 2):
                    trickle(shard)
                    shard.advance(1)
                await other.hear("joined", ref=1)
            assert shard.count(Count.CLOSED_STALLED) == 0
            assert shard.count(Count.CLOSED_SLOW) > 0
            for one in slow:
                one.transport.abort()


def trickle(shard: Shard) -> None:
    """As if a byte had gone out to each of the slow."""
    for backlog in shard.group._outbox.slow.values():
        backlog.since = shard.tick


def other_fd(shard: Shard) -> int:
    """The one connection with a join in the queue and nothing to read."""
    lines = shard.service._resume._turns._queue._lines
    return next((fd for fd in lines if not shard.group.backlog(fd)), -1)


async def test_who_is_closed_while_it_waits_leaves_nothing(shard: Shard) -> None:
    await fill(shard, "a", "b", "c")
    async with small(shard) as reader:
        await ask(reader, "a", "b", "c")
        await until(lambda: shard.service._resume._turns._queue.outstanding)
        reader.transport.abort()
        with suppress(ConnectionClosed):
            while True:
                await reader.recv()
    await until(lambda: not shard.group.connections)
    queue = shard.service._resume._turns._queue
    assert (queue.outstanding, queue._lines, queue._taken, queue._due) == (0, {}, {}, {})
    assert all(not room.resuming for room in shard.service.rooms.by_name.values())
