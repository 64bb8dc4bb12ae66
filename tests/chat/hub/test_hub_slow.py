"""Viewers that read too slowly: what must be known reaches them all the same."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Self

import msgpack
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from chat.bus.entries import Cleared, Deleted, Entry, Ruled
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
    Online,
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

    def __init__(self, connection: ClientConnection, binary: bool) -> None:
        self._connection = connection
        self._binary = binary
        self._follower = Follower(ROOM)
        self._refs = count(1)
        self.news: list[News] = []

    async def read_until(self, done: "object") -> Self:
        """Read, and do what the events ask for, until `done(self)`."""
        assert callable(done)
        async with asyncio.timeout(BOUND_S):
            while not done(self):
                frame = await self._connection.recv(decode=False)
                if self._binary:
                    frame = msgspec.json.encode(msgpack.unpackb(frame))
                for event in decode(frame):
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
            join = msgspec.to_builtins(follower.join(next(self._refs), 0))
            await self._connection.send(
                msgpack.packb(join) if self._binary else msgspec.json.encode(join).decode()
            )

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
async def reader(shard: Shard, binary: bool = False) -> AsyncIterator[Reader]:
    """One in the room, whose kernel takes little on its behalf."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect(shard._listener.getsockname())
    sock.setblocking(False)
    async with connect(
        shard.address,
        sock=sock,
        subprotocols=[Subprotocol("danmaku.msgpack" if binary else "danmaku.json")],
        compression=None,
        proxy=None,
        ping_interval=None,
        max_queue=1,
    ) as connection:
        yield await Reader(connection, binary).read_until(lambda self: self.joins)


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
            assert [gap.epoch for gap in slow.gaps] == [""], "then the first epoch is none"

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


CONTROLS: list[Entry] = [Deleted(1, 5), Cleared("u9", 6), Ruled({"slow_s": 2}, 7), Deleted(2, 8)]


class TestControls:
    """What no batch makes up for, said before the limit, beyond it, and long after."""

    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        rooms = {"history": 100_000}
        async with Shard(valkey.url, prefix, limits=LIMITS, rooms=rooms) as shard:
            yield shard

    async def interleave(self, shard: Shard, messages: int) -> list[News]:
        """Controls, and between them messages; the controls as viewers know them."""
        room = shard.service.rooms.by_name[ROOM]
        told: list[News] = []
        for control in CONTROLS:
            seq = room.position.seq + messages + 1
            await publish(shard.store, ROOM, *["x" * 300] * messages)
            await enter(shard, ROOM, control)
            await until(lambda: room.position.seq == seq)  # noqa: B023 - not kept
            told.append(control.at(ROOM, "e00001", seq))
        return told

    @pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
    async def test_reach_a_slow_reader_each_once_and_in_order(
        self, shard: Shard, binary: bool
    ) -> None:
        async with reader(shard, binary) as slow:
            told = await self.interleave(shard, 1)
            while not shard.count(Count.DROPPED_SLOW):
                told += await self.interleave(shard, 50)
            told += await self.interleave(shard, 5)
            assert not shard.count(Count.CLOSED_SLOW)
            await slow.read_until(lambda slow: slow.news[-1] == told[-1])
            assert [one for one in slow.news if isinstance(one, Delete | Clear | State)] == told
            assert (slow.gaps, slow.joins) == ([], 2), "one answer to one hole"

    async def test_are_kept_though_batches_are_left_out(self, shard: Shard) -> None:
        async with reader(shard):
            said = await overwhelm(shard)
            backlog = shard.group.backlog_total
            left_out = shard.count(Count.DROPPED_SLOW)
            await enter(shard, ROOM, Deleted(1, 5))
            await until(lambda: shard.service.rooms.by_name[ROOM].position.seq == said + 1)
            await until(lambda: shard.group.backlog_total > backlog)
            assert shard.count(Count.DROPPED_SLOW) == left_out

    async def test_too_many_of_them_close_it(self, valkey: EmbeddedEngine, prefix: str) -> None:
        limits = {**LIMITS, "backlog_hard_bytes": 16_384}
        async with Shard(valkey.url, prefix, limits=limits) as shard, reader(shard) as slow:
            await overwhelm(shard)
            while not shard.count(Count.CLOSED_SLOW):
                await self.interleave(shard, 1)
            with pytest.raises(ConnectionClosed) as closed:
                await slow.read_until(lambda _: False)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001

    async def test_a_count_goes_first_and_is_not_missed(self, shard: Shard) -> None:
        room_of = shard.service.rooms.by_name
        async with reader(shard) as slow:
            said = 0
            while shard.group.backlog_total < LIMITS["backlog_soft_bytes"] // 2:
                await publish(shard.store, ROOM, "x" * 300)
                said += 1
                await until(lambda: room_of[ROOM].position.seq == said)  # noqa: B023 - not kept
            shard.service.rooms._delivery._emit(room_of[ROOM], [Online(ROOM, 7)])
            await until(lambda: shard.count(Count.DROPPED_SLOW_LOW) == 1)
            await publish(shard.store, ROOM, "last")
            await slow.read_until(lambda slow: slow.texts[-1:] == ["last"])
            assert (len(slow.texts), slow.joins) == (said + 1, 1)
            assert shard.count(Count.DROPPED_SLOW) == 0


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
