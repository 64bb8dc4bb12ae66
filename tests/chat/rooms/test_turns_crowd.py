"""Crowds that come back at once: what they share, and whom they do not hold up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from chat.bus.store import Receipt, RoomState
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms.answers import Answer
from chat.wire.batch import Shown
from chat.wire.commands import Join, Since
from chat.wire.dialects.native import JSON
from chat.wire.schema import Joined, Message, ServerEvent
from tests.chat.rig import Event, Shard, outgoing, publish, until
from tests.chat.rooms.test_turns_paced import ANSWER, HISTORY, ROOM, a_shard, fill


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with a_shard(valkey, prefix) as shard:
        yield shard


async def talk(shard: Shard, times: int) -> None:
    for i in range(times):
        await publish(shard.store, ROOM, str(i))
        await asyncio.sleep(0)


class TestACrowd:
    """Very many who were on a shard that is no more."""

    @pytest.fixture
    def reads(self, shard: Shard, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How far back each read of a history went."""
        found: list[int] = []
        ask = shard.store.open_room

        async def counted(*args: Any, **options: Any) -> RoomState:
            if options.get("after") is not None:
                found.append(options["after"])
            return await ask(*args, **options)

        monkeypatch.setattr(shard.store, "open_room", counted)
        return found

    async def come_back(self, shard: Shard, seqs: list[int]) -> list[Event]:
        """Viewers who were at these positions; their answers."""
        async with AsyncExitStack() as stack:
            viewers = [await stack.enter_async_context(shard.viewer()) for _ in seqs]
            for viewer, seq in zip(viewers, seqs, strict=True):
                since = {"epoch": "e00001", "seq": seq}
                await viewer.do("join", room=ROOM, since=since, ref=seq % 3)
            return [await viewer.hear("joined") for viewer in viewers]

    async def test_those_of_one_room_share_reads(self, shard: Shard, reads: list[int]) -> None:
        await fill(shard, ROOM, text="x")
        seqs = [i % 40 for i in range(200)]
        answers = await self.come_back(shard, seqs)
        for seq, answer in zip(seqs, answers, strict=True):
            assert (answer["recovered"], answer["ref"]) == (True, seq % 3)
            assert [one["seq"] for one in answer["history"]] == [*range(seq + 1, HISTORY + 1)]
        assert 0 < len(reads) < 20
        assert shard.count(ChatCount.RESUMED) == 200

    async def test_wherever_they_come_from_each_message_is_written_once(
        self, shard: Shard, reads: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """But for the first of an answer; also while the room goes on, and in many turns."""
        monkeypatch.setattr("chat.rooms.turns.TURN_BYTES", 8 * HISTORY)
        await fill(shard, ROOM, text="x")
        written: list[Message] = []
        place, events = JSON.place, JSON.event
        answers_written: list[ServerEvent] = []

        def noted_place(one: Message, whole: Shown) -> bytes:
            written.append(one)
            return place(one, whole)

        def noted_event(one: ServerEvent) -> bytes:
            answers_written.append(one)
            return events(one)

        monkeypatch.setattr(JSON, "place", noted_place)
        monkeypatch.setattr(JSON, "event", noted_event)
        seqs = [50 + 11 * i % 300 for i in range(150)]
        talking = asyncio.create_task(talk(shard, 20))
        answers = await self.come_back(shard, seqs)
        await talking
        for seq, answer in zip(seqs, answers, strict=True):
            assert answer["recovered"]
            assert [one["seq"] for one in answer["history"]] == [*range(seq + 1, answer["seq"] + 1)]
        assert 0 < len(reads) < 20
        assert len(written) <= (HISTORY + 20) * len(reads) + 3 * len(seqs)
        whole = [one for one in answers_written if isinstance(one, Joined) and one.history]
        assert whole == []

    async def test_what_is_said_between_two_turns_is_missed_by_nobody(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also by those who come from one place, and share an answer within a turn."""
        monkeypatch.setattr("chat.rooms.turns.TURN_BYTES", 1)
        await fill(shard, ROOM, text="x")
        talking = asyncio.Event()
        tell = shard.service._resume._turns._tell

        def told(*args: Any) -> int:
            talking.set()
            return tell(*args)

        monkeypatch.setattr(shard.service._resume._turns, "_tell", told)
        async with AsyncExitStack() as stack:
            viewers = [await stack.enter_async_context(shard.viewer()) for _ in range(60)]
            for viewer in viewers:
                await viewer.do("join", room=ROOM, since={"epoch": "e00001", "seq": 100})
            await talking.wait()
            await talk(shard, 20)
            await publish(shard.store, ROOM, "last")
            for viewer in viewers:
                joined = await viewer.hear("joined")
                await viewer.hear("msg", text="last")
                seqs = [one["seq"] for one in (*joined["history"], *viewer.of("msg"))]
                assert seqs == [*range(101, HISTORY + 22)]

    async def test_one_room_does_not_wait_for_another(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rooms are answered by turns: who comes back to a small one is not behind a crowd."""
        monkeypatch.setattr("chat.rooms.turns.TURN_BYTES", ANSWER)
        await fill(shard, "crowded", "small")
        told: list[str] = []
        tell = shard.service._resume._turns._tell

        def noted(fd: int, found: Any, ref: Any) -> int:
            told.append(found.event.room)
            return tell(fd, found, ref)

        monkeypatch.setattr(shard.service._resume._turns, "_tell", noted)
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(shard.viewer()) for _ in range(60)]
            last = await stack.enter_async_context(shard.viewer())
            for viewer in crowd:
                await viewer.do("join", room="crowded", since={"epoch": "e00001", "seq": 1})
            await last.do("join", room="small", since={"epoch": "e00001", "seq": 1})
            assert (await last.hear("joined"))["recovered"]
            for viewer in crowd:
                assert (await viewer.hear("joined"))["recovered"]
        assert len(told) == 61
        assert told.index("small") < 50

    async def test_messages_are_written_between_the_parts_of_a_crowd(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What an honest room says meanwhile does not wait until all are back."""
        monkeypatch.setattr("chat.rooms.turns.TURN_BYTES", ANSWER)
        await fill(shard, ROOM)
        happened: list[str] = []
        tell, fan_out = shard.service._resume._turns._tell, shard.group.fan_out
        speaking: list[asyncio.Task[list[Receipt]]] = []

        def told(*args: Any) -> int:
            happened.append("told")
            if not speaking:
                speaking.append(asyncio.create_task(publish(shard.store, "honest", "hi")))
            return tell(*args)

        def fanned(fds: Any, data: bytes, *rest: Any, **options: Any) -> None:
            if b'"honest"' in data and b"msgs" in data:
                happened.append("fanned out")
            fan_out(fds, data, *rest, **options)

        monkeypatch.setattr(shard.service._resume._turns, "_tell", told)
        monkeypatch.setattr(shard.group, "fan_out", fanned)
        async with shard.viewer() as honest:
            await honest.join("honest")
            await self.come_back(shard, [0] * 120)
            await honest.hear("msg", text="hi")
        at = happened.index("fanned out")
        assert 0 < at < len(happened) - 1

    async def test_no_more_are_answered_at_once_than_a_turn_has_room_for(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the room remembers all that they missed."""
        monkeypatch.setattr("chat.rooms.resume.AT_ONCE", 2)
        shard.service._resume._at_once = 2
        await fill(shard, ROOM, text="x")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            ask = shard.service._resume.join
            since = Since("e00001", HISTORY - 1)
            fd = next(iter(shard.service.rooms.by_name[ROOM].members[0]))
            found = [ask(fd, Join(ROOM, since)) for _ in range(2)]
            assert all(isinstance(one, Answer) for one in found)
            assert ask(fd, Join(ROOM, since)) is None
            await viewer.hear("joined", recovered=True)
            assert isinstance(ask(fd, Join(ROOM, since)), Answer)

    async def test_a_room_that_runs_away_from_a_read_is_read_again(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fill(shard, ROOM, text="x")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            room = shard.service.rooms.by_name[ROOM]
            ask = shard.store.open_room

            async def slow(*args: Any, **options: Any) -> RoomState:
                monkeypatch.setattr(shard.store, "open_room", ask)
                state = await ask(*args, **options)
                await shard.store.publish([outgoing(ROOM, "y")] * 20, "e00001", 1_000, 0)
                await until(lambda: room.position.seq == HISTORY + 20)
                return state

            monkeypatch.setattr(shard.store, "open_room", slow)
            answer = await viewer.join(ROOM, ("e00001", HISTORY - 100))
            assert (answer["recovered"], len(answer["history"])) == (True, 120)

    async def test_others_have_their_turn_between(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No more than a turn's bytes are written without a pass of the loop."""
        monkeypatch.setattr("chat.rooms.turns.TURN_BYTES", ANSWER)
        await fill(shard, ROOM)
        passes: list[int] = []
        tell = shard.service._resume._turns._tell

        async def tick() -> None:
            while True:
                passes.append(0)
                await asyncio.sleep(0)

        def told(*args: Any) -> int:
            size = tell(*args)
            passes[-1] += size
            return size

        monkeypatch.setattr(shard.service._resume._turns, "_tell", told)
        ticking = asyncio.create_task(tick())
        await self.come_back(shard, [0] * 40)
        ticking.cancel()
        assert sum(passes) > 40 * ANSWER
        assert max(passes) < 3 * ANSWER
