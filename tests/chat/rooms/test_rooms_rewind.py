"""Redis came back without its newest entries: rooms find out, agree on a new epoch, and go on.

After a failover to a replica that lagged, or a crash before the last second was on disk, a room has
the same epoch and a smaller seq, and its next messages get numbers that viewers have seen.
"""

from collections.abc import AsyncIterator

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Gap
from tests.chat.desk import ROOM, Desk, texts
from tests.chat.rig import Shard, publish, until


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    async with Desk(valkey.url, prefix) as desk:
        yield desk


class TestInTheStream:
    async def test_a_number_given_out_again_begins_a_new_epoch(self, desk: Desk) -> None:
        room = await desk.open()
        old = room.position.epoch
        await publish(desk.store, ROOM, "a1", "a2", "a3", "a4", "a5")
        await desk.until_heard("a1", "a2", "a3", "a4", "a5")
        await desk.set_back(3)
        await publish(desk.store, ROOM, "b4")  # to find out costs the message by which it is
        await until(lambda: room.position.epoch != old, "the new epoch")
        await desk.until_live(room)
        [*_, gap] = desk.heard()
        assert gap == Gap(ROOM, room.position.epoch, 4, 0)
        await publish(desk.store, ROOM, "c5", "c6")
        await desk.until_heard("a1", "a2", "a3", "a4", "a5", gap, "c5", "c6")
        assert desk.count(ChatCount.REWINDS) == 1
        # Who joins is shown what Redis has, not what it had.
        assert texts(room.newest) == ["b4", "c5", "c6"]

    async def test_a_lagging_cursor_is_no_rewind(self, desk: Desk) -> None:
        await publish(desk.store, ROOM, "a1", "a2")
        room = await desk.open()
        await desk.feed()  # the stream from its beginning
        await publish(desk.store, ROOM, "a3")
        await desk.until_heard("a3")
        await desk.feed()
        assert desk.heard() == ["a3"]
        assert desk.count(ChatCount.REWINDS) == desk.count(ChatCount.GAPS) == 0
        assert desk.count(ChatCount.DUPLICATES_READ) == 3
        assert room.position.epoch == "e00001"

    async def test_also_when_the_count_has_passed_what_it_was(self, desk: Desk) -> None:
        room = await desk.open()
        old = room.position.epoch
        await desk.stop_reading()
        await publish(desk.store, ROOM, "a1", "a2", "a3")
        await desk.feed()
        await desk.set_back(1)
        await publish(desk.store, ROOM, "b2", "b3", "b4")
        await desk.feed()
        await desk.until_live(room)
        assert room.position.epoch != old
        assert desk.heard() == ["a1", "a2", "a3", Gap(ROOM, room.position.epoch, 4, 0)]

    async def test_a_fill_that_finds_less_than_was_seen_does_it_too(self, desk: Desk) -> None:
        room = await desk.open()
        old = room.position.epoch
        await desk.stop_reading()
        await publish(desk.store, ROOM, "a1", "a2", "a3", "a4", "a5")
        await desk.set_back(2)
        await desk.feed("a4")
        await desk.until_live(room)
        assert room.position.epoch != old
        assert desk.heard() == ["a1", "a2", "a3", Gap(ROOM, room.position.epoch, 2, 0)]
        assert desk.count(ChatCount.REWINDS) == 1

    async def test_all_shards_end_up_in_one_epoch(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as one, Desk(valkey.url, prefix, "s2") as two:
            rooms = [await one.open(), await two.open()]
            old = rooms[0].position.epoch
            await publish(one.store, ROOM, "a1", "a2", "a3")
            for desk in (one, two):
                await desk.until_heard("a1", "a2", "a3")
            await one.set_back(1)
            await publish(one.store, ROOM, "b2")
            await until(lambda: rooms[0].position.epoch == rooms[1].position.epoch != old)
            for desk, room in zip((one, two), rooms, strict=True):
                await desk.until_live(room)
            before = len(one.heard()), len(two.heard())
            await publish(one.store, ROOM, "c3")
            await until(lambda: (one.heard()[-1], two.heard()[-1]) == ("c3", "c3"))
            assert before == (4, 4)
            assert rooms[0].position.epoch == rooms[1].position.epoch


class TestAfterABreak:
    async def test_where_nothing_was_lost_nothing_is_done(self, desk: Desk) -> None:
        room = await desk.open()
        await publish(desk.store, ROOM, "a1", "a2")
        await desk.until_heard("a1", "a2")
        await desk.rooms.resync()
        await publish(desk.store, ROOM, "a3")
        await desk.until_heard("a1", "a2", "a3")
        assert desk.count(ChatCount.GAPS) == desk.count(ChatCount.REWINDS) == 0
        assert desk.readied == [ROOM]
        assert room.live

    async def test_what_was_passed_over_is_fetched(self, desk: Desk) -> None:
        room = await desk.open()
        await desk.stop_reading()
        await publish(desk.store, ROOM, "a1", "a2")
        await desk.rooms.resync()
        await desk.until_heard("a1", "a2")
        await desk.until_live(room)
        await desk.feed()
        assert desk.heard() == ["a1", "a2"]

    @pytest.mark.parametrize("keep", [3, 0])
    @pytest.mark.parametrize(
        ("since", "shown"),
        [([], ["a1"]), (["b2"], ["a1", "b2"]), (["b2", "b3"], ["a1", "b2", "b3"]),
         (["b2", "b3", "b4"], ["b2", "b3", "b4"])],
    )  # fmt: skip
    async def test_a_room_set_back_begins_a_new_epoch(
        self, valkey: EmbeddedEngine, prefix: str, keep: int, since: list[str], shown: list[str]
    ) -> None:
        """Also when the count has reached or passed again what it was: messages are compared."""
        async with Desk(valkey.url, prefix, history_on_join=keep) as desk:
            room = await desk.open()
            old = room.position.epoch
            await publish(desk.store, ROOM, "a1", "a2", "a3")
            await desk.until_heard("a1", "a2", "a3")
            await desk.stop_reading()
            await desk.set_back(1)
            await publish(desk.store, ROOM, *since)
            await desk.rooms.resync()
            await until(lambda: room.position.epoch != old, "the new epoch")
            await desk.until_live(room)
            gap = Gap(ROOM, room.position.epoch, 1 + len(since), 0)
            assert desk.heard() == ["a1", "a2", "a3", gap]
            assert texts(room.newest) == (shown if keep else [])
            await publish(desk.store, ROOM, "c")
            await desk.feed()
            await desk.until_heard("a1", "a2", "a3", gap, "c")
            assert desk.count(ChatCount.REWINDS) == 1

    async def test_what_was_there_when_it_was_opened_is_compared_too(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix, history_on_join=0) as desk:
            await publish(desk.store, ROOM, "a1", "a2")
            room = await desk.open()
            await desk.stop_reading()
            await desk.set_back(1)
            await publish(desk.store, ROOM, "b2")
            await desk.rooms.resync()
            await desk.until_live(room)
            assert desk.heard() == [Gap(ROOM, room.position.epoch, 2, 0)]
            assert room.position.epoch != "e00001"

    async def test_a_room_that_is_gone_begins_anew(self, desk: Desk) -> None:
        room = await desk.open()
        await publish(desk.store, ROOM, "a1")
        await desk.until_heard("a1")
        await desk.raw.delete(desk.keys.room(ROOM), desk.keys.history(ROOM))
        await desk.rooms.resync()
        await desk.until_heard("a1", Gap(ROOM, "", 0, 0))
        await publish(desk.store, ROOM, "b1", epoch="e00002")
        await desk.until_heard("a1", Gap(ROOM, "", 0, 0), "b1")
        assert str(room.position) == "e00002-1"

    async def test_what_was_acknowledged_and_lost_before_it_was_read_is_told(
        self, desk: Desk
    ) -> None:
        room = await desk.open()
        await desk.stop_reading()
        [receipt] = await publish(desk.store, ROOM, "a1")
        desk.rooms.acked(ROOM, receipt.epoch, receipt.seq)
        desk.rooms.acked("of nobody here", "e", 1)
        await desk.raw.delete(desk.keys.room(ROOM), desk.keys.history(ROOM))
        await desk.rooms.resync()
        await desk.until_heard(Gap(ROOM, "", 0, 0))
        await desk.until_live(room)
        await desk.rooms.resync()
        assert desk.heard() == [Gap(ROOM, "", 0, 0)]

    async def test_its_sender_is_told_on_the_wire(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Shard(valkey.url, prefix) as shard, shard.viewer() as viewer:
            await viewer.join(ROOM)
            await shard.service._reader.stop()
            assert (await viewer.say(ROOM, "first"))["seq"] == 1
            keys = shard.store.keys
            raw = (await shard.store.servers.find(ROOM)).client
            await raw.delete(keys.room(ROOM), keys.history(ROOM))
            await shard.service.rooms.resync()
            gap = await viewer.hear("gap")
            assert (gap["epoch"], gap["seq"], gap["lost"]) == ("", 0, 0)

    async def test_also_by_a_room_that_was_set_back_to_where_we_are(self, desk: Desk) -> None:
        room = await desk.open()
        await publish(desk.store, ROOM, "a1", "a2")
        await desk.until_heard("a1", "a2")
        await desk.stop_reading()
        [receipt] = await publish(desk.store, ROOM, "a3")
        desk.rooms.acked(ROOM, receipt.epoch, receipt.seq)
        await desk.set_back(2)
        await desk.rooms.resync()
        await until(lambda: room.position.epoch != receipt.epoch, "the new epoch")
        await desk.until_live(room)
        assert desk.heard() == ["a1", "a2", Gap(ROOM, room.position.epoch, 2, 0)]
        assert desk.count(ChatCount.REWINDS) == 1

    async def test_also_by_one_of_which_we_had_read_nothing(self, desk: Desk) -> None:
        room = await desk.open()
        await desk.stop_reading()
        [*_, receipt] = await publish(desk.store, ROOM, "a1", "a2")
        desk.rooms.acked(ROOM, receipt.epoch, receipt.seq)
        await desk.set_back(1)
        await desk.rooms.resync()
        await until(lambda: room.position.epoch not in ("", receipt.epoch), "the new epoch")
        await desk.until_live(room)
        assert desk.heard() == [Gap(ROOM, room.position.epoch, 0, 0), "a1"]

    async def test_also_where_its_number_was_given_to_another_of_ours(self, desk: Desk) -> None:
        room = await desk.open()
        await publish(desk.store, ROOM, "a1")
        await desk.until_heard("a1")
        await desk.stop_reading()
        for text in ("lost", "a2"):
            await desk.set_back(1)
            [receipt] = await publish(desk.store, ROOM, text)
            desk.rooms.acked(ROOM, receipt.epoch, receipt.seq)
        await until(lambda: room.position.epoch != receipt.epoch, "the new epoch")
        await desk.until_live(room)
        assert desk.heard() == ["a1", Gap(ROOM, room.position.epoch, 2, 0)]
        assert desk.count(ChatCount.REWINDS) == 1

    async def test_what_was_acknowledged_and_is_there_is_fetched(self, desk: Desk) -> None:
        room = await desk.open()
        await desk.stop_reading()
        [receipt] = await publish(desk.store, ROOM, "a1")
        desk.rooms.acked(ROOM, receipt.epoch, receipt.seq)
        await desk.rooms.resync()
        await desk.until_heard("a1")
        await desk.until_live(room)
        assert desk.count(ChatCount.REWINDS) == 0

    async def test_the_mark_is_set_where_the_stream_ends_now(self, desk: Desk) -> None:
        """Else, after the stream itself was set back, new entries would pass for old ones."""
        room = await desk.open()
        stream = desk.keys.fanout(room.partition)
        await desk.stop_reading()
        await desk.raw.xadd(stream, {"r": "other", "p": "e-1", "m": "x"}, id="99999999999998-0")
        await publish(desk.store, ROOM, "a1")
        await desk.feed()
        assert room.position.mark == b"99999999999998-1"
        await desk.raw.delete(stream)
        await desk.raw.xadd(stream, {"r": "other", "p": "e-1", "m": "x"}, id="5-0")
        await desk.rooms.resync()
        assert room.position.mark == b"5-0"
        assert desk.heard() == ["a1"]

    async def test_many_rooms_take_few_round_trips(self, desk: Desk) -> None:
        names = [f"r{i}" for i in range(300)]
        for name in names:
            desk.wait(desk.rooms.enter(name), patient=True)
        await until(lambda: len(desk.readied) == 300)
        await desk.stop_reading()
        before = (await desk.raw.info("stats"))["total_reads_processed"]
        await desk.rooms.resync()
        assert (await desk.raw.info("stats"))["total_reads_processed"] - before < 30
        assert all(desk.rooms.by_name[name].live for name in names)
