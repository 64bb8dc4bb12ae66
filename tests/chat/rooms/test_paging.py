"""Paging back in a room's history, over sockets, on a real Valkey."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from chat.bus.places import Page
from chat.bus.redaction import Redaction
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms.paging import OPEN_QUESTIONS
from shard.counters import Count
from tests.chat.rig import Event, Shard, Viewer, publish, until
from tests.chat.rooms.test_turns_paced import (
    HISTORY,
    ROOM,
    TEXT,
    fill,
    read_until,
    small,
    trickle,
)

LONG = TEXT * 5
PAGE = 100 * (len(LONG.encode()) + 200)
"""Bytes of a page of such messages, at most."""


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, rooms={"history": 50, "history_on_join": 3}) as shard:
        yield shard


def seqs(answer: Event) -> list[int]:
    assert answer["t"] == "history", answer
    return [place["seq"] for place in answer["history"]]


async def page(viewer: Viewer, **fields: Any) -> Event:
    return await viewer.ask("history", room=ROOM, **fields)


class TestPages:
    @pytest.mark.parametrize("binary", [False, True])
    async def test_it_goes_back_page_by_page(self, shard: Shard, binary: bool) -> None:
        await publish(shard.store, ROOM, *map(str, range(1, 8)))
        async with shard.viewer(binary=binary) as viewer:
            await viewer.join(ROOM)
            newest = await page(viewer, limit=3)
            assert (seqs(newest), newest["more"], newest["epoch"]) == ([5, 6, 7], True, "e00001")
            assert [one["text"] for one in newest["history"]] == ["5", "6", "7"]
            older = await page(viewer, limit=3, before=5)
            assert (seqs(older), older["more"]) == ([2, 3, 4], True)
            last = await page(viewer, limit=3, before=2)
            assert (seqs(last), last["more"]) == ([1], False)
            nothing = await page(viewer, before=1)
            assert (seqs(nothing), nothing["more"]) == ([], False)
            assert seqs(await page(viewer, before=2**53)) == list(range(1, 8))

    async def test_a_room_nobody_spoke_in_has_none(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            answer = await page(viewer)
            assert (answer["epoch"], answer["history"], answer["more"]) == ("", [], False)

    async def test_what_was_taken_back_keeps_its_place(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a", "vile", "c")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await Redaction(shard.store, lambda: 5.0).remove(ROOM, 2)
            await viewer.hear("delete")
            answer = await page(viewer)
            assert seqs(answer) == [1, 2, 3, 4]
            assert [one["t"] for one in answer["history"]] == ["msg", "removed", "msg", "delete"]

    async def test_nobody_is_shown_what_the_shard_has_not_come_to(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await publish(shard.store, ROOM, "a", "b")
            await viewer.hear("msg", text="b")
            await shard.service._reader.stop()
            await publish(shard.store, ROOM, "c")
            assert seqs(await page(viewer)) == [1, 2]
            assert seqs(await page(viewer, before=99)) == [1, 2]

    async def test_a_read_that_a_removal_overtook_is_made_again(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a", "vile")
        read = shard.store.page_before
        reads = 0

        async def overtaken(*args: Any) -> Page:
            nonlocal reads
            reads += 1
            found = await read(*args)
            if reads == 1:
                await Redaction(shard.store, lambda: 5.0).clear(ROOM, None)
                room = shard.service.rooms.by_name[ROOM]
                await until(lambda: room.redacted_at == 3)
            return found

        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            shard.store.page_before = overtaken  # type: ignore[assignment, method-assign]
            answer = await page(viewer, before=3)
            assert [one["t"] for one in answer["history"]] == ["removed", "removed"]
        assert reads == 2


class TestRefusals:
    async def test_only_members_may_ask(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a")
        async with shard.viewer() as viewer:
            assert (await page(viewer))["code"] == "not_joined"
            await viewer.join(ROOM)
            await viewer.ask("leave", room=ROOM)
            assert (await page(viewer))["code"] == "not_joined"

    @pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 101}, {"before": 0}, {"limit": "x"}])
    async def test_bounds(self, shard: Shard, wrong: Event) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            error = await page(viewer, **wrong)
            assert error["code"] == "bad_request"
            assert next(iter(wrong)) in error["message"]

    async def test_who_leaves_meanwhile_is_told_so(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.do("history", room=ROOM, ref=1)
            await viewer.do("leave", room=ROOM, ref=2)
            await until(lambda: {1, 2} <= {event.get("ref") for event in viewer.events})
            answer = next(event for event in viewer.events if event.get("ref") == 1)
            assert answer["t"] == "history" or answer["code"] == "not_joined"

    async def test_while_redis_is_away_it_may_be_asked_again(
        self, own_valkey: EmbeddedEngine
    ) -> None:
        bus = {"partitions": 4, "flush_interval_ms": 5, "timeout_ms": 300}
        async with Shard(own_valkey.url, "x", bus=bus) as shard:
            await publish(shard.store, ROOM, "a")
            async with shard.viewer() as viewer:
                await viewer.join(ROOM)
                assert own_valkey.pid is not None
                os.kill(own_valkey.pid, signal.SIGSTOP)
                error = await page(viewer)
                assert (error["code"], error["retry_after"] >= 1.0) == ("unavailable", True)
                os.kill(own_valkey.pid, signal.SIGCONT)
                await until(own_valkey.ping)

    async def test_a_history_that_is_another_than_the_shards_is_not_shown(
        self, shard: Shard, raw: Any
    ) -> None:
        await publish(shard.store, ROOM, "a", "b")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await raw.delete(shard.store.keys.room(ROOM), shard.store.keys.history(ROOM))
            assert (await page(viewer))["code"] == "unavailable"


class TestBounds:
    """Pages larger than a kernel takes at once."""

    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        rooms = {"history": HISTORY, "history_on_join": 0, "linger_s": 3_600}
        limits = {"resume_bytes": 65_536, "commands_burst": 1_000}
        heartbeat = {"ping_s": 3_600}
        async with Shard(
            valkey.url, prefix, rooms=rooms, limits=limits, heartbeat=heartbeat
        ) as shard:
            await fill(shard, ROOM, text=LONG)
            yield shard

    async def test_a_page_is_sent_when_the_last_is_read_and_few_wait(self, shard: Shard) -> None:
        async with slow_reader(shard) as reader:
            await until(lambda: shard.service._paging._queue.outstanding)
            for ref in range(1, OPEN_QUESTIONS + 2):
                await want(reader, ref)
            await until(lambda: shard.count(ChatCount.REFUSED_RATE_LIMITED) == 1)
            assert shard.group.backlog_total < 2 * PAGE
            events = await read_until(
                reader, lambda events: len(answers(events)) == OPEN_QUESTIONS + 2
            )
            pages = [event for event in events if event["t"] == "history"]
            assert [event["ref"] for event in pages] == list(range(OPEN_QUESTIONS + 1))
            assert all(len(event["history"]) == 100 for event in pages)
            [refused] = [event for event in events if event["t"] == "error"]
            assert (refused["code"], refused["ref"]) == ("rate_limited", OPEN_QUESTIONS + 1)
        assert shard.count(Count.CLOSED_SLOW) == 0

    async def test_who_reads_next_to_nothing_holds_up_nobody_for_ever(self, shard: Shard) -> None:
        async with slow_reader(shard) as reader, shard.viewer() as other:
            paging = shard.service._paging
            await until(lambda: not paging._queue.affords)
            await other.join(ROOM)
            await other.do("history", room=ROOM, ref=1)
            await until(lambda: paging._queue._due)
            for _ in range(shard.config.limits.stall_s + 2):
                trickle(shard)
                shard.advance(1)
            await other.hear("history", ref=1)
            assert shard.count(Count.CLOSED_SLOW) == 1
            reader.transport.abort()
        await until(lambda: shard.count(Count.CONNECTIONS) == 0)
        assert paging._queue.outstanding == 0

    async def test_who_asks_the_same_shares_a_read(self, shard: Shard) -> None:
        read, reads = shard.store.page_before, 0

        async def counted(*args: Any) -> Page:
            nonlocal reads
            reads += 1
            return await read(*args)

        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(shard.viewer()) for _ in range(8)]
            for viewer in crowd:
                await viewer.join(ROOM)
            shard.store.page_before = counted  # type: ignore[assignment, method-assign]
            paging = shard.service._paging
            paging._serving = True  # until all have asked
            for viewer in crowd:
                await viewer.do("history", room=ROOM, ref=1, limit=3)
            await until(lambda: len(paging._queue._due) == 8)
            paging._serving = False
            paging._go_on()
            for viewer in crowd:
                await viewer.hear("history", ref=1)
        assert reads == 1


@asynccontextmanager
async def slow_reader(shard: Shard) -> AsyncIterator[ClientConnection]:
    """A member whose kernel takes little, and who asked for a page."""
    async with small(shard, f"?room={ROOM}") as reader:
        await until(
            lambda: shard.count(ChatCount.JOINS) and shard.service.rooms.by_name[ROOM].local
        )
        await want(reader, 0)
        yield reader


async def want(reader: ClientConnection, ref: int) -> None:
    command = {"t": "history", "room": ROOM, "limit": 100, "ref": ref}
    await reader.send(json.dumps(command))


def answers(events: list[Event]) -> list[Event]:
    return [event for event in events if "ref" in event]
