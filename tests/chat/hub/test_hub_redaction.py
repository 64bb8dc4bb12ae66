"""A message is taken back while people watch on two shards: what they are sent, and what those are
who come later, by any way there is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from chat.bus.redaction import Redaction
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import BOUND_S, Event, Shard, Viewer, outgoing, publish
from tests.whole import whole

ROOM = "live:42"


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[tuple[Shard, Shard]]:
    server = {"dialects": ("danmaku", "sse")}
    async with (
        Shard(valkey.url, prefix, server=server) as here,
        Shard(valkey.url, prefix, server=server) as there,
    ):
        yield here, there


async def watched(shard: Shard, last_event_id: str = "") -> list[Event]:
    """What an event stream begins with, up to its `joined`."""
    host, port = shard._listener.getsockname()[:2]
    reader, writer = await asyncio.open_connection(host, port)
    known = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
    writer.write(f"GET /sse?room={ROOM} HTTP/1.1\r\nHost: x\r\n{known}\r\n".encode())
    events: list[Event] = []
    async with asyncio.timeout(BOUND_S):
        while not any(event["t"] == "joined" for event in events):
            line = await reader.readline()
            if line.startswith(b"data: "):
                events += whole(json.loads(line.removeprefix(b"data: ")))
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return events


class TestOnTwoShards:
    @pytest.mark.parametrize("whose", ["one", "user", "all"])
    async def test_members_are_told_and_newcomers_never_see_it(
        self, shards: tuple[Shard, Shard], whose: str
    ) -> None:
        async with AsyncExitStack() as stack:
            viewers: list[Viewer] = []
            for shard in shards:
                for binary in (False, True):
                    viewer = await stack.enter_async_context(shard.viewer(binary=binary))
                    await viewer.join(ROOM)
                    viewers.append(viewer)
            fine, vile = outgoing(ROOM, "fine", uid="v"), outgoing(ROOM, "vile")
            await shards[0].store.publish([fine, vile], "e00001", 1_000, 0)
            for viewer in viewers:
                await viewer.hear("msg", text="vile")
            redaction = Redaction(shards[0].store, lambda: 5.0)
            if whose == "one":
                await redaction.remove(ROOM, 2)
            else:
                await redaction.clear(ROOM, "u" if whose == "user" else None)
            for viewer in viewers:
                told = await viewer.hear("delete" if whose == "one" else "clear")
                assert (told["room"], told["seq"]) == (ROOM, 3)
                assert (told.get("target"), told.get("uid")) == (
                    2 if whose == "one" else None,
                    "u" if whose == "user" else None,
                )
            for shard in shards:
                await self.come_later(shard, whose)

    async def come_later(self, shard: Shard, whose: str) -> None:
        async with shard.viewer() as late, shard.viewer(f"?room={ROOM}") as early:
            await early.hear("joined")
            for answer in (
                await late.join(ROOM),
                await late.join(ROOM, since=("e00001", 1)),
                await late.join(ROOM, since=("e00001", 0)),
                await late.ask("history", room=ROOM),
            ):
                assert "vile" not in str(answer)
                places = {place["seq"]: place["t"] for place in answer["history"]}
                assert places[2] == "removed"
                kept = "removed" if whose == "all" else "msg"
                assert places.get(1, kept) == kept
            assert "vile" not in str([late.events, early.events])
        assert "vile" not in str(await watched(shard))
        resumed = await watched(shard, "e00001-1")
        assert "vile" not in str(resumed)
        [joined] = [event for event in resumed if event["t"] == "joined"]
        assert joined["recovered"] is True
        assert [place["seq"] for place in joined["history"]] == [2, 3]

    async def test_an_old_hole_is_resumed_over(self, shards: tuple[Shard, Shard]) -> None:
        """Further back than a shard remembers: from the history."""
        here, there = shards
        texts = [f"text {i}" for i in range(1, 46)]
        await publish(here.store, ROOM, *texts)
        async with here.viewer() as viewer:
            await viewer.join(ROOM)
            await Redaction(there.store, lambda: 5.0).remove(ROOM, 7)
            await viewer.hear("delete")
            answer = await viewer.join(ROOM, since=("e00001", 5))
            assert answer["recovered"] is True
            assert [place["seq"] for place in answer["history"]] == list(range(6, 47))
            assert "'text 7'" not in str(answer)
