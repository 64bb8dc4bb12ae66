"""Rooms between a shard's members and a real Valkey: opened, followed, filled, closed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from chat.bus.crowds import Crowds
from chat.bus.entries import id_order
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms.position import Sync
from chat.wire.commands import Since
from chat.wire.schema import Gap
from tests.chat.desk import MEMBER, ROOM, Desk, texts
from tests.chat.rig import publish, until


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    async with Desk(valkey.url, prefix) as desk:
        yield desk
        assert desk.count(ChatCount.BUS_ERRORS) == 0


class TestOpening:
    async def test_a_new_room_is_empty(self, desk: Desk) -> None:
        room = await desk.open()
        assert (room.live, str(room.position), room.newest) == (True, "-0", [])

    async def test_one_that_nobody_speaks_in_leaves_nothing_that_lasts(self, desk: Desk) -> None:
        room = await desk.open()
        ttls = {key: await desk.raw.pttl(key) async for key in desk.raw.scan_iter(desk.everything)}
        assert desk.keys.room(ROOM).encode() not in ttls
        most = 2 * 3_000 * desk.limits.online_interval_s
        lasting = {key for key, ttl in ttls.items() if not 0 < ttl <= most}
        of_all = desk.keys.life(desk.keys.partition(ROOM))
        assert lasting <= {desk.keys.wake("s1").encode(), of_all.encode()}
        room.members[0].clear()

    async def test_the_first_message_is_no_gap(self, desk: Desk) -> None:
        room = await desk.open()
        await publish(desk.store, ROOM, "a", "b")
        await desk.until_heard("a", "b")
        assert str(room.position) == "e00001-2"
        assert desk.count(ChatCount.GAPS) == 0

    async def test_the_newest_of_a_known_one_are_remembered(self, desk: Desk) -> None:
        await publish(desk.store, ROOM, *"abcde")
        room = await desk.open()
        assert texts(room.newest) == ["c", "d", "e"]
        assert (room.position.epoch, room.position.seq) == ("e00001", 5)
        assert desk.heard() == []

    async def test_it_is_opened_once(self, desk: Desk) -> None:
        assert desk.rooms.enter(ROOM) is desk.rooms.enter(ROOM)
        await desk.open()
        assert desk.readied == [ROOM]
        assert desk.reader.streams == 1

    async def test_nothing_published_meanwhile_is_missed(self, desk: Desk) -> None:
        said = [str(i) for i in range(60)]
        await publish(desk.store, ROOM, *said[:20])
        room = desk.rooms.enter(ROOM)
        room.members[0].add(MEMBER)
        writer = asyncio.create_task(publish(desk.store, ROOM, *said[20:]))
        await until(lambda: room.live)
        known = room.position.seq
        assert known >= 20
        assert texts(room.newest) == said[max(0, known - 3) : known]
        heard = len(desk.heard())
        await writer
        await desk.until_heard(*said[known - heard :])

    async def test_what_arrives_while_the_answer_is_on_its_way_is_held(self, desk: Desk) -> None:
        await publish(desk.store, ROOM, "a1")
        await desk.stop_reading()
        desk.after_reading("a2", "a3")
        await desk.open()
        assert desk.heard() == ["a2", "a3"]
        assert desk.count(ChatCount.GAPS) == 0

    async def test_with_no_history_to_show_none_is(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, history_on_join=0) as desk:
            await publish(desk.store, ROOM, "a", "b")
            room = await desk.open()
            assert room.newest == []
            await publish(desk.store, ROOM, "c")
            await desk.until_heard("c")
            assert room.newest == []

    async def test_what_is_no_message_does_not_keep_it_shut(self, desk: Desk) -> None:
        await publish(desk.store, ROOM, "a")
        await desk.raw.xadd(desk.keys.history(ROOM), {"m": b"\xc1"}, id="2-0")
        await desk.raw.hset(desk.keys.room(ROOM), "seq", 2)
        room = await desk.open()
        assert (texts(room.newest), room.position.seq) == (["a"], 2)


class TestFollowing:
    async def test_members_get_what_is_published_in_order(self, desk: Desk) -> None:
        await desk.open()
        texts = [str(i) for i in range(100)]
        await publish(desk.store, ROOM, *texts)
        await desk.until_heard(*texts)
        assert desk.count(ChatCount.MESSAGES_DELIVERED) == 100
        assert desk.count(ChatCount.GAPS) == 0

    async def test_each_room_of_a_partition_its_own(self, desk: Desk) -> None:
        rooms = [name for name in map(str, range(60)) if desk.keys.partition(name) == 1][:5]
        for name in rooms[:4]:
            await desk.open(name)
        for i in range(10):
            for name in rooms:
                await publish(desk.store, name, f"{name}/{i}")
        for name in rooms[:4]:
            await desk.until_heard(*(f"{name}/{i}" for i in range(10)), room=name)
        assert desk.reader.streams == 1
        assert desk.heard(rooms[4]) == []

    async def test_what_comes_again_is_dropped(self, desk: Desk) -> None:
        await desk.open()
        await publish(desk.store, ROOM, "a", "b")
        await desk.until_heard("a", "b")
        await desk.feed()
        assert desk.heard() == ["a", "b"]
        assert desk.count(ChatCount.DUPLICATES_READ) == 2

    async def test_how_old_what_was_read_is_is_known(self, desk: Desk) -> None:
        await desk.open()
        await publish(desk.store, ROOM, "a")
        await desk.until_heard("a")
        stream = desk.keys.fanout(desk.keys.partition(ROOM))
        [(entry_id, _)] = await desk.raw.xrange(stream)
        added_ms = id_order(entry_id)[0]
        desk.rooms._wall = lambda: added_ms / 1000 + 7
        await desk.feed()
        assert desk.count(ChatCount.STREAM_LAG_MS) == 7_000

    async def test_strangers_entries_in_the_stream_are_counted_and_skipped(
        self, desk: Desk
    ) -> None:
        await desk.open()
        stream = desk.keys.fanout(desk.keys.partition(ROOM))
        for fields in (
            {"x": "of no room here"},
            {"r": b"\xff", "p": "e-1", "m": "x"},
            {"r": ROOM, "p": "nonsense", "m": "x"},
            {"r": ROOM, "p": b"\xff-1", "m": "x"},
            {"r": ROOM, "p": "e00001-1"},
        ):
            await desk.raw.xadd(stream, fields)
        await publish(desk.store, ROOM, "a")
        await desk.until_heard("a")
        assert desk.count(ChatCount.BAD_ENTRIES) == 4

    async def test_a_place_with_no_message_in_it_is_told_as_lost(self, desk: Desk) -> None:
        room = await desk.open()
        await publish(desk.store, ROOM, "a")
        bad = b"\xc1 no message"
        stream = desk.keys.fanout(room.partition)
        pipe = desk.raw.pipeline()
        pipe.hset(desk.keys.room(ROOM), "seq", 2)
        pipe.xadd(desk.keys.history(ROOM), {"m": bad}, id="2-0")
        pipe.xadd(stream, {"r": ROOM, "p": "e00001-2", "m": bad})
        await pipe.execute()
        await publish(desk.store, ROOM, "c")
        await desk.until_heard("a", Gap(ROOM, "e00001", 2, 1), "c")
        assert room.missed(Since("e00001", 1)) is None
        assert desk.count(ChatCount.GAP_MESSAGES_LOST) == 1


class TestFilling:
    async def test_a_gap_is_filled_from_the_history(self, desk: Desk) -> None:
        await desk.open()
        await desk.stop_reading()
        await publish(desk.store, ROOM, "a1", "a2", "a3", "a4")
        await desk.feed("a2", "a3")
        await desk.until_heard("a1", "a2", "a3", "a4")
        assert desk.count(ChatCount.GAPS) == 1
        assert desk.count(ChatCount.GAP_MESSAGES_FILLED) == 3
        assert desk.count(ChatCount.GAP_MESSAGES_LOST) == 0

    async def test_what_the_history_no_longer_has_is_told(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, history=4) as desk:
            room = await desk.open()
            await desk.stop_reading()
            texts = [f"a{i}" for i in range(10)]
            await publish(desk.store, ROOM, *texts)
            await desk.feed(*texts[1:9])
            await desk.until_heard("a0", Gap(ROOM, room.position.epoch, 6, 5), *texts[6:])
            assert desk.count(ChatCount.GAP_MESSAGES_LOST) == 5

    async def test_what_arrives_meanwhile_comes_after_it(self, desk: Desk) -> None:
        room = await desk.open()
        await desk.stop_reading()
        await publish(desk.store, ROOM, "a1", "a2")
        await desk.feed("a1")
        assert room.position.sync is Sync.FILLING
        await publish(desk.store, ROOM, "a3", "a4")
        await desk.feed()
        await desk.until_heard("a1", "a2", "a3", "a4")
        assert desk.count(ChatCount.GAPS) == 1

    async def test_also_what_the_answer_does_not_have_yet(self, desk: Desk) -> None:
        await desk.open()
        await desk.stop_reading()
        await publish(desk.store, ROOM, "a1", "a2")
        desk.after_reading("a3", "a4")
        await desk.feed("a1")
        await desk.until_heard("a1", "a2", "a3", "a4")
        assert desk.count(ChatCount.GAPS) == 1

    async def test_who_waits_meanwhile_is_let_in_afterwards(self, desk: Desk) -> None:
        room = await desk.open()
        await desk.stop_reading()
        desk.readied.clear()
        await publish(desk.store, ROOM, "a1", "a2")
        await desk.feed("a1")
        desk.wait(room)
        assert (room.position.sync, desk.readied) == (Sync.FILLING, [])
        await desk.until_heard("a1", "a2")
        assert desk.readied == [ROOM]

    async def test_a_room_whose_state_was_lost_goes_on_in_a_new_epoch(self, desk: Desk) -> None:
        await desk.open()
        await publish(desk.store, ROOM, "a1", "a2")
        await desk.until_heard("a1", "a2")
        await desk.raw.delete(desk.keys.room(ROOM))
        await publish(desk.store, ROOM, "b1", "b2", epoch="e2")
        await desk.until_heard("a1", "a2", Gap(ROOM, "e2", 0, 0), "b1", "b2")
        assert desk.count(ChatCount.REWINDS) == 0


class TestBounds:
    async def test_rooms_beyond_the_rate_wait_for_their_turn(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, bounds=Limits(rooms_opened_per_s=2)) as desk:
            rooms = [desk.rooms.enter(f"r{i}") for i in range(23)]
            for room in rooms:
                desk.wait(room, patient=True)
            await until(lambda: len(desk.readied) == 20)
            assert not any(room.live for room in rooms[20:])
            await until(lambda: len(desk.readied) == 23)
            assert desk.readied[20:] == ["r20", "r21", "r22"]

    async def test_one_that_nobody_waits_for_any_more_is_not_opened(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, bounds=Limits(rooms_opened_per_s=1)) as desk:
            rooms = [desk.rooms.enter(f"r{i}") for i in range(500)]
            waiters = [desk.wait(room, patient=True) for room in rooms]
            for waiter in waiters[10:499]:
                waiter.gone = True
            await until(lambda: "r499" in desk.readied)
            assert len(desk.readied) == 11
            assert len(desk.rooms.by_name) == 11

    async def test_there_are_at_most_so_many(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Desk(valkey.url, prefix, bounds=Limits(rooms=2)) as desk:
            await desk.open("a")
            assert not desk.rooms.full
            await desk.open("b")
            assert desk.rooms.full


class TestClosing:
    async def test_a_room_is_closed_when_it_was_empty_for_its_time(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, linger_s=3, online_interval_s=3_600) as desk:
            await publish(desk.store, ROOM, "a")
            room = await desk.open()
            for tick in range(100, 110):
                await desk.tick(tick)
            room.members[0].clear()
            for tick in range(110, 113):
                await desk.tick(tick)
                assert desk.rooms.by_name == {ROOM: room}
            await desk.tick(113)
            assert desk.rooms.by_name == {}
            assert desk.reader.streams == 0
            assert desk.count(ChatCount.ROOMS) == 0

    async def test_one_that_nobody_spoke_in_when_that_is_reported(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, linger_s=3_600, online_interval_s=2) as desk:
            (await desk.open()).members[0].clear()
            for tick in range(100, 103):
                await desk.tick(tick)
                assert ROOM in desk.rooms.by_name
            await desk.tick(103)
            assert desk.rooms.by_name == {}
            assert desk.reader.streams == 0

    async def test_not_while_somebody_is_on_the_way_in(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, linger_s=0, online_interval_s=3_600) as desk:
            room = await desk.open()
            room.members[0].clear()
            room.resuming = 1
            for tick in range(100, 105):
                await desk.tick(tick)
            assert desk.rooms.by_name == {ROOM: room}
            room.resuming = 0
            await desk.tick(105)
            await desk.tick(106)
            assert desk.rooms.by_name == {}

    async def test_not_before_redis_knows_that_nobody_is_there(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, linger_s=0, online_interval_s=3_600) as desk:
            crowds = Crowds(desk.store, 3_600)
            room = await desk.open()
            await desk.tick(100)
            desk.rooms._visitors.came(7, room)
            room.members[0].clear()
            assert (await crowds.of(ROOM)).online == 1
            await desk.tick(101)
            await desk.tick(102)
            assert desk.rooms.by_name == {}
            found = await crowds.of(ROOM)
            assert (found.online, found.peak, found.unique) == (0, 1, 1)

    async def test_but_it_does_not_wait_for_ever(self, own_valkey: EmbeddedEngine) -> None:
        async with Desk(
            own_valkey.url, "x", timeout_s=0.3, linger_s=0, online_interval_s=3_600
        ) as desk:
            room = await desk.open()
            assert own_valkey.pid is not None
            os.kill(own_valkey.pid, signal.SIGSTOP)
            desk.rooms._visitors.came(7, room)
            room.members[0].clear()
            for tick in range(100, 105):
                await desk.tick(tick)
                assert desk.rooms.by_name == {ROOM: room}
                assert desk.rooms._visitors.waits(room), "they were not reported"
            await desk.tick(105)
            os.kill(own_valkey.pid, signal.SIGCONT)
            assert desk.rooms.by_name == {}
            assert desk.count(ChatCount.VISITORS_UNCOUNTED) == 1

    async def test_nor_while_it_is_filled(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Desk(valkey.url, prefix, linger_s=0, online_interval_s=3_600) as desk:
            room = await desk.open()
            await desk.stop_reading()
            await publish(desk.store, ROOM, "a1", "a2")
            await desk.feed("a1")
            room.members[0].clear()
            for tick in range(100, 105):
                desk.rooms.tick(tick)
            assert desk.rooms.by_name == {ROOM: room}
            await desk.until_live(room)

    async def test_opened_again_it_has_what_was_said_meanwhile(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, linger_s=0, online_interval_s=3_600) as desk:
            (await desk.open()).members[0].clear()
            await desk.tick(100)
            await desk.tick(101)
            await publish(desk.store, ROOM, "a")
            desk.readied.clear()
            room = await desk.open()
            assert texts(room.newest) == ["a"]
            await publish(desk.store, ROOM, "b")
            await desk.until_heard("b")
