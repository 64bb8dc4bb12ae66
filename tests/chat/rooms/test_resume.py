"""Coming back: exactly what was missed, or an honest no."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.store import RoomState
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.wire.dialects.native import JSON
from chat.wire.schema import Msg
from tests.chat.rig import Event, Shard, publish, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    rooms = {"history": 50, "history_on_join": 5, "linger_s": 3_600}
    async with Shard(valkey.url, prefix, rooms=rooms) as shard:
        await publish(shard.store, ROOM, "1")
        async with shard.viewer() as first:
            await first.join(ROOM)  # the room is open from here on
        await until(lambda: not shard.group.connections)
        shard.advance(3)  # and its descriptor out of quarantine
        yield shard


class Gate:
    """Redis, whose answers about rooms wait until it is opened."""

    def __init__(self, shard: Shard) -> None:
        self.asked = 0
        self.opened = asyncio.Event()
        self._ask = shard.store.open_room

    async def open_room(self, *args: Any, **options: Any) -> RoomState:
        self.asked += 1
        await self.opened.wait()
        return await self._ask(*args, **options)


def seqs(joined: Event) -> list[int]:
    return [message["seq"] for message in joined["history"]]


async def follow(shard: Shard, seq: int) -> None:
    """The shard has read as far as `seq`."""
    room = shard.service.rooms.by_name[ROOM]
    await until(lambda: room.position.seq == seq, f"seq {seq}")


async def say(shard: Shard, upto: int) -> None:
    """Publish messages, "2", "3"... up to this seq."""
    start = shard.service.rooms.by_name[ROOM].position.seq + 1
    await publish(shard.store, ROOM, *map(str, range(start, upto + 1)))
    await follow(shard, upto)


class TestRecovered:
    @pytest.mark.parametrize("missed", [0, 1, 5, 6, 30, 49, 50])
    async def test_exactly_what_was_missed(self, shard: Shard, missed: int) -> None:
        """From memory, from Redis, and to the very end of the history."""
        await say(shard, 60)
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00001", 60 - missed))
            assert joined["recovered"]
            assert (joined["epoch"], joined["seq"]) == ("e00001", 60)
            assert seqs(joined) == list(range(61 - missed, 61))
            assert [m["text"] for m in joined["history"]] == [str(seq) for seq in seqs(joined)]
            await say(shard, 62)
            await viewer.hear("msg", seq=62)
            assert [message["seq"] for message in viewer.of("msg")] == [61, 62]
        assert shard.count(ChatCount.RESUMED) == 1

    async def test_on_another_shard_that_had_no_room_open(
        self, shard: Shard, valkey: EmbeddedEngine
    ) -> None:
        await say(shard, 60)
        rooms = {"history": 50, "history_on_join": 5}
        async with Shard(valkey.url, shard.prefix, rooms=rooms) as other, other.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00001", 20))
            assert (joined["recovered"], seqs(joined)) == (True, list(range(21, 61)))

    async def test_in_a_room_one_is_in(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await say(shard, 20)
            await viewer.hear("msg", seq=20)
            joined = await viewer.join(ROOM, ("e00001", 3))
            assert (joined["recovered"], seqs(joined)) == (True, list(range(4, 21)))
            await say(shard, 21)
            await viewer.hear("msg", seq=21)
            assert [message["seq"] for message in viewer.of("msg")] == list(range(2, 22))

    async def test_by_one_who_was_on_a_faster_shard(self, shard: Shard) -> None:
        """This shard has not yet read what the viewer has, but Redis knows it."""
        await shard.service._reader.stop()
        await publish(shard.store, ROOM, "2", "3")
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00001", 3))
            assert (joined["recovered"], joined["seq"], seqs(joined)) == (True, 3, [])

    async def test_while_the_room_goes_on(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What came after the history was read, and before the answer, is in it too."""
        await say(shard, 20)
        ask = shard.store.open_room

        async def slow(*args: Any, **options: Any) -> RoomState:
            state = await ask(*args, **options)
            await say(shard, 22)
            return state

        monkeypatch.setattr(shard.store, "open_room", slow)
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00001", 3))
            assert (joined["recovered"], seqs(joined)) == (True, list(range(4, 23)))

    async def test_in_a_room_about_to_be_closed(
        self, valkey: EmbeddedEngine, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stays open while the history is being read for the one who comes."""
        await say(shard, 30)
        rooms = {"linger_s": 0, "history": 50, "history_on_join": 5}
        async with Shard(valkey.url, shard.prefix, rooms=rooms) as other:
            other.service.rooms.enter(ROOM)
            await until(lambda: other.service.rooms.by_name[ROOM].live)
            ask = other.store.open_room

            async def slow(*args: Any, **options: Any) -> RoomState:
                other.advance(3)
                return await ask(*args, **options)

            monkeypatch.setattr(other.store, "open_room", slow)
            async with other.viewer() as viewer:
                assert seqs(await viewer.join(ROOM, ("e00001", 0))) == list(range(1, 31))
                await viewer.say(ROOM, "31")
                await viewer.hear("msg", text="31")

    async def test_while_the_room_is_talking(self, shard: Shard) -> None:
        """However the joins fall between the messages, nothing is missing and nothing twice."""
        last = 600

        async def talk() -> None:
            for i in range(2, last + 1):
                await publish(shard.store, ROOM, str(i))

        talking = asyncio.create_task(talk())
        seq, joins = 1, 0
        while seq < last:
            async with shard.viewer() as viewer:
                joined = await viewer.join(ROOM, ("e00001", seq))
                assert joined["recovered"]
                joins += 1
                found = seqs(joined)
                await viewer.settle()
                found += [message["seq"] for message in viewer.of("msg")]
                assert found == list(range(seq + 1, seq + len(found) + 1))
                seq += len(found)
        await talking
        assert joins > 3


class TestUnspoken:
    """Rooms that nobody had spoken in."""

    async def test_who_was_in_one_recovers_everything(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            joined = await viewer.join("quiet")
            assert (joined["epoch"], joined["seq"], joined["history"]) == ("", 0, [])
            again = await viewer.join("quiet", ("", 0))
            assert (again["recovered"], again["epoch"]) == (True, "")
        await publish(shard.store, "quiet", *map(str, range(1, 41)))
        await until(lambda: shard.service.rooms.by_name["quiet"].position.seq == 40)
        async with shard.viewer() as viewer:
            joined = await viewer.join("quiet", ("", 0))
            assert (joined["recovered"], seqs(joined)) == (True, list(range(1, 41)))
            assert (joined["epoch"], joined["seq"]) == ("e00001", 40)

    async def test_its_first_message_follows_without_a_gap(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join("quiet")
            ack = await viewer.say("quiet", "hi")
            message = await viewer.hear("msg")
            assert message["id"] == ack["id"]
            assert viewer.of("gap") == []

    async def test_what_the_history_no_longer_has_is_not_recovered(self, shard: Shard) -> None:
        await publish(shard.store, "quiet", *map(str, range(1, 62)))
        async with shard.viewer() as viewer:
            assert not (await viewer.join("quiet", ("", 0)))["recovered"]

    async def test_a_shard_that_has_not_read_the_first_message_yet(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join("quiet")
            await shard.service._reader.stop()
            await publish(shard.store, "quiet", "1", "2")
            joined = await viewer.join("quiet", ("e00001", 2))
            assert (joined["recovered"], joined["epoch"], joined["seq"]) == (True, "e00001", 2)
            assert not (await viewer.join("quiet", ("e00000", 2)))["recovered"]

    async def test_one_whose_state_was_lost_meanwhile(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            for since in (("e00009", 3), ("", 3)):
                joined = await viewer.join("quiet", since)
                assert (joined["recovered"], joined["epoch"], joined["seq"]) == (False, "", 0)


class TestMeanwhile:
    """The viewer does something else while the history is being read for it."""

    @pytest.fixture
    def gate(self, shard: Shard, monkeypatch: pytest.MonkeyPatch) -> Gate:
        gate = Gate(shard)
        monkeypatch.setattr(shard.store, "open_room", gate.open_room)
        return gate

    @pytest.mark.parametrize("room", [ROOM, "being:opened"])
    async def test_it_leaves(self, shard: Shard, gate: Gate, room: str) -> None:
        await say(shard, 30)
        async with shard.viewer() as viewer, shard.viewer() as other:
            await viewer.do("join", room=room, since={"epoch": "e00001", "seq": 3})
            await until(lambda: gate.asked)
            assert (await viewer.ask("leave", room=room))["t"] == "left"
            gate.opened.set()
            await other.join(room)
            await viewer.settle()
            assert viewer.of("joined") == []
            assert shard.service.rooms.by_name[room].local == 1

    @pytest.mark.parametrize("room", [ROOM, "being:opened"])
    async def test_it_goes_and_another_has_its_descriptor(
        self, shard: Shard, gate: Gate, room: str
    ) -> None:
        await say(shard, 30)
        async with shard.viewer() as gone:
            before = (await gone.hear("welcome"))["conn"]
            await gone.do("join", room=room, since={"epoch": "e00001", "seq": 3}, ref="gone")
            await until(lambda: gate.asked)
        async with shard.successor(before) as viewer:
            await viewer.do("join", room=room, ref="mine")
            await viewer.settle()
            gate.opened.set()
            await viewer.hear("joined", ref="mine")
            await until(lambda: not shard.service._resume._turns._tasks.busy)
            await viewer.settle()
            assert [joined["ref"] for joined in viewer.of("joined")] == ["mine"]


class TestNotRecovered:
    async def test_when_the_epoch_ended_while_the_history_was_read(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await say(shard, 20)
        await shard.service._reader.stop()
        await publish(shard.store, ROOM, *map(str, range(21, 31)))
        ask = shard.store.open_room

        async def slow(*args: Any, **options: Any) -> RoomState:
            await shard.store.renew_room(ROOM, "e00001", "e2")
            return await ask(*args, **options)

        monkeypatch.setattr(shard.store, "open_room", slow)
        async with shard.viewer() as viewer:
            for seq in (3, 25):  # behind this shard, and ahead of it
                assert not (await viewer.join(ROOM, ("e00001", seq)))["recovered"]

    async def test_one_more_than_the_history_holds(self, shard: Shard) -> None:
        await say(shard, 60)
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00001", 9))
            assert not joined["recovered"]
            assert (joined["seq"], seqs(joined)) == (60, [56, 57, 58, 59, 60])
            await say(shard, 61)
            await viewer.hear("msg", seq=61)
        assert shard.count(ChatCount.RESUME_FAILED) == 1

    async def test_another_epoch(self, shard: Shard) -> None:
        await say(shard, 10)
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00000", 9))
            assert (joined["recovered"], joined["epoch"]) == (False, "e00001")
            assert seqs(joined) == [6, 7, 8, 9, 10]

    @pytest.mark.parametrize("seq", [11, 500, 2**53])
    async def test_a_position_that_redis_itself_has_not_reached(
        self, shard: Shard, seq: int
    ) -> None:
        """It was set back: were it recovered, what comes next would pass for seen."""
        await say(shard, 10)
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, ("e00001", seq))
            assert (joined["recovered"], joined["seq"]) == (False, 10)

    async def test_a_hole_in_the_history(self, shard: Shard) -> None:
        await say(shard, 20)
        raw = (await shard.store.servers.find(ROOM)).client
        await raw.xdel(shard.store.keys.history(ROOM), "10-0")
        async with shard.viewer() as viewer:
            assert not (await viewer.join(ROOM, ("e00001", 5)))["recovered"]
            assert (await viewer.join(ROOM, ("e00001", 10)))["recovered"]

    async def test_what_the_address_asked_for_has_no_since(self, shard: Shard) -> None:
        await say(shard, 10)
        async with shard.viewer(f"?room={ROOM}") as viewer:
            assert not (await viewer.hear("joined"))["recovered"]


class TestSnapshots:
    """Joins without a ref share one encoded answer; it must never be an old one."""

    async def joined(self, shard: Shard, binary: bool = False) -> Event:
        async with shard.viewer(binary=binary) as viewer:
            await viewer.do("join", room=ROOM)
            return await viewer.hear("joined")

    @pytest.mark.parametrize("binary", [False, True])
    async def test_they_are_as_new_as_the_room(self, shard: Shard, binary: bool) -> None:
        for seq in (1, 2, 3, 4):
            await say(shard, seq)
            for _ in range(3):
                joined = await self.joined(shard, binary)
                assert joined["seq"] == joined["history"][-1]["seq"] == seq

    async def test_they_are_made_once(self, shard: Shard) -> None:
        room = shard.service.rooms.by_name[ROOM]
        async with shard.viewer() as viewer:  # who goes makes the answer another one
            await viewer.do("join", room=ROOM)
            await until(lambda: viewer.of("joined"))
            kept = room.snapshots[JSON]
            await viewer.do("join", room=ROOM)
            await until(lambda: len(viewer.of("joined")) == 2)
            assert room.snapshots[JSON] is kept

    async def test_they_know_who_came(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer() as two:
            for count, viewer in enumerate((one, two), 1):
                await viewer.do("join", room=ROOM)
                assert (await viewer.hear("joined"))["online"] == count

    async def test_for_a_crowd_they_are_made_once_in_a_hundredth_of_it(self, shard: Shard) -> None:
        room = shard.service.rooms.by_name[ROOM]
        told = []
        for room.elsewhere in range(500, 520):  # as many more come
            written = shard.hub._replies._snapshot(JSON, room)
            assert written is not None
            told.append((json.loads(written)["online"], room.online))
        assert all(0 <= now - known <= now / 100 for known, now in told)
        assert 2 <= len({known for known, _ in told}) <= 5

    async def test_a_new_epoch_at_the_same_seq_is_another_room(self, shard: Shard) -> None:
        assert (await self.joined(shard))["epoch"] == "e00001"
        room = shard.service.rooms.by_name[ROOM]
        room.position.load("e2", 1, b"0-0")
        room.remember_only([Msg(ROOM, 1, "e2-1", "u", "n", "new", 1, "top", 25, 1)])
        joined = await self.joined(shard)
        assert (joined["epoch"], joined["history"][0]["text"]) == ("e2", "new")


async def test_members_are_told_what_the_history_no_longer_has(shard: Shard) -> None:
    async with shard.viewer() as viewer:
        await viewer.join(ROOM)
        await shard.service._reader.stop()
        await publish(shard.store, ROOM, *map(str, range(2, 62)))
        await shard.service.rooms.resync()
        await viewer.hear("msg", seq=61)
        gap = await viewer.hear("gap")
        assert gap == {"t": "gap", "room": ROOM, "epoch": "e00001", "seq": 11, "lost": 10}
        [first] = [i for i, event in enumerate(viewer.events) if event["t"] == "gap"]
        assert [m["seq"] for m in viewer.events[first + 1 :] if m["t"] == "msg"] == list(
            range(12, 62)
        )


async def test_rooms_are_closed_when_nobody_comes_back(valkey: EmbeddedEngine, prefix: str) -> None:
    async with Shard(valkey.url, prefix, rooms={"linger_s": 5}) as shard:
        await publish(shard.store, ROOM, "1")
        async with shard.viewer(f"?room={ROOM}") as viewer:
            await viewer.hear("joined")
            shard.advance(20)
            assert ROOM in shard.service.rooms.by_name
        await until(lambda: not shard.service.rooms.by_name[ROOM].local)
        shard.advance(5)
        assert ROOM in shard.service.rooms.by_name
        shard.advance(1)
        assert shard.service.rooms.by_name == {}
