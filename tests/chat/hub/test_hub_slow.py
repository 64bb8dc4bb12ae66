"""Viewers that read too slowly: what must be known reaches them all the same."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Self

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from chat.bus.entries import Deleted
from chat.client.follower import Follower, News, Stage
from chat.client.link import decode
from chat.hub.replies import again
from chat.ops.engine import EmbeddedEngine
from chat.rooms.room import Room
from chat.wire.schema import (
    Clear,
    Delete,
    Gap,
    Joined,
    Message,
    Msg,
    Msgs,
    ServerEvent,
    State,
    Welcome,
)
from shard.counters import Count
from tests.chat.hub.test_replies import enter
from tests.chat.rig import BOUND_S, Shard, publish, until

ROOM = "live:42"
LIMITS = {"backlog_soft_bytes": 8_192, "commands_burst": 1_000}


class Reader:
    """Our own client's rules on a connection that is read only when the test says so."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._follower = Follower(ROOM)
        self._refs = count(1)
        self.news: list[News] = []

    async def read_until(self, done: "object") -> Self:
        """Read, and do what the events ask for, until `done(self)`."""
        assert callable(done)
        async with asyncio.timeout(BOUND_S):
            while not done(self):
                for event in decode(await self._connection.recv(decode=False)):
                    await self._take(event)
        return self

    async def _take(self, event: ServerEvent) -> None:
        follower = self._follower
        match event:
            case Welcome():
                follower.welcomed(0)
            case Msgs() | Delete() | Clear() | State() | Joined() | Gap():
                self.news += follower.take(event, 1e9)
        if follower.stage is Stage.WANTED:
            join = follower.join(next(self._refs), 0)
            await self._connection.send(msgspec.json.encode(join).decode())

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.news if isinstance(event, Msg)]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.news if isinstance(event, Gap)]

    @property
    def joins(self) -> int:
        return sum(isinstance(event, Joined) for event in self.news)


@asynccontextmanager
async def reader(shard: Shard) -> AsyncIterator[Reader]:
    """One in the room, whose kernel takes little on its behalf."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect(shard._listener.getsockname())
    sock.setblocking(False)
    async with connect(
        shard.address,
        sock=sock,
        subprotocols=[Subprotocol("danmaku.json")],
        compression=None,
        proxy=None,
        ping_interval=None,
        max_queue=1,
    ) as connection:
        yield await Reader(connection).read_until(lambda self: self.joins)


async def overwhelm(shard: Shard) -> int:
    """Say more than one who does not read is sent; how many messages that took."""
    said = 0
    while not shard.count(Count.DROPPED_SLOW):
        await publish(shard.store, ROOM, *["x" * 300] * 50)
        said += 50
        room = shard.service.rooms.by_name[ROOM]
        await until(lambda: room.position.seq == said)  # noqa: B023 - not kept
    return said


async def lose_the_state(shard: Shard, valkey: EmbeddedEngine) -> Room:
    """Redis comes back empty, and the shard has noticed."""
    room = shard.service.rooms.by_name[ROOM]
    valkey.restart()
    await until(lambda: room.live and room.position.epoch == "")
    await shard.store.ping()
    return room


class TestANewEpoch:
    """Redis comes back empty while a reader is beyond its limit: the `gap` is not sent to it."""

    @pytest.fixture
    async def shard(self, own_valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        async with Shard(own_valkey.url, prefix, limits=LIMITS) as shard:
            yield shard

    async def test_it_shows_all_that_is_said_in_it(
        self, shard: Shard, own_valkey: EmbeddedEngine
    ) -> None:
        async with reader(shard) as slow:
            await overwhelm(shard)
            room = await lose_the_state(shard, own_valkey)
            live = [f"live {i}" for i in range(20)]
            await publish(shard.store, ROOM, *live, epoch="e00002")
            await until(lambda: room.position.seq == len(live))
            await slow.read_until(lambda slow: "live 19" in slow.texts)
            assert [text for text in slow.texts if text.startswith("live")] == live
            assert [gap.epoch for gap in slow.gaps] == ["e00002"]

    async def test_it_is_told_of_it_also_in_a_room_that_is_silent_then(
        self, shard: Shard, own_valkey: EmbeddedEngine
    ) -> None:
        async with reader(shard) as slow:
            await overwhelm(shard)
            await lose_the_state(shard, own_valkey)
            await slow.read_until(lambda slow: slow.gaps)
            assert (slow.gaps[0].epoch, slow.gaps[0].lost) == ("", 0)
            await publish(shard.store, ROOM, "live", epoch="e00002")
            await slow.read_until(lambda slow: slow.texts[-1] == "live")
            assert len(slow.gaps) == 1


class TestTheSameEpoch:
    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        rooms = {"history": 100_000}
        async with Shard(valkey.url, prefix, limits=LIMITS, rooms=rooms) as shard:
            yield shard

    async def test_what_was_left_out_is_resumed(self, shard: Shard) -> None:
        async with reader(shard) as slow:
            said = await overwhelm(shard)
            await slow.read_until(lambda slow: len(slow.texts) >= said)
            assert [event.seq for event in slow.news if isinstance(event, Msg)] == [
                *range(1, said + 1)
            ]
            assert (slow.gaps, slow.joins) == ([], 2)

    async def test_also_when_the_newest_place_is_no_message(self, shard: Shard) -> None:
        async with reader(shard) as slow:
            said = await overwhelm(shard)
            room = shard.service.rooms.by_name[ROOM]
            await enter(shard, ROOM, Deleted(1, 5))
            await until(lambda: room.position.seq == said + 1)
            await slow.read_until(lambda slow: slow.news[-1] == Delete(ROOM, said + 1, 1, 5))
            assert len(slow.texts) == said


class TestAgain:
    """What one who has caught up is sent of a room."""

    def room(self, epoch: str, seq: int, *places: Msg | Delete) -> Room:
        room = Room(ROOM, 0, 1, 3)
        room.position.load(epoch, seq, b"0-0")
        room.recent.extend(places)
        return room

    def test_its_newest_place_in_its_epoch(self) -> None:
        room = self.room("e", 6, Delete(ROOM, 5, 1, 9), Delete(ROOM, 6, 2, 9))
        only = Message(t="delete", target=2, ts=9)
        assert again(room) == Msgs(ROOM, "e", 6, 6, [only])

    @pytest.mark.parametrize("epoch", ["", "e"])
    def test_that_there_is_none(self, epoch: str) -> None:
        assert again(self.room(epoch, 0)) == Msgs(ROOM, epoch, 1, 0, [])

    def test_that_it_is_not_known(self) -> None:
        assert again(self.room("e", 7, Delete(ROOM, 6, 2, 9))) == Msgs(ROOM, "e", 8, 7, [])

    @pytest.mark.parametrize(
        ("here", "asks"), [(("e", 7), False), (("e", 6), True), (("", 0), True), (("x", 9), True)]
    )
    def test_our_client_asks_for_what_it_misses_by_an_empty_one(
        self, here: tuple[str, int], asks: bool
    ) -> None:
        follower = Follower(ROOM)
        follower.welcomed(0)
        follower.join(1, 0)
        follower.take(Joined(ROOM, *here, 1, False, [], 1), 0)
        assert follower.take(again(self.room("e", 7)), 9) == []
        assert (follower.stage is Stage.WANTED) == asks
