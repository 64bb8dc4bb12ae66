"""Shadowed messages: who said them sees them, in their order; to all others they are holes."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.bus.entries import Deleted, Said, pack
from chat.bus.store import Outgoing
from chat.hub.replies import again
from chat.ops.engine import EmbeddedEngine
from chat.rooms.room import Room
from chat.wire.schema import Msg, Msgs, Shadowed
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.hub.test_replies import Watcher
from tests.chat.rig import Shard, Viewer, new_prefix, until

ROOM = "live:42"
Line = tuple[str, bool]
"""Who says something, and whether it is shadowed."""


def a_shard(valkey: EmbeddedEngine, prefix: str) -> Shard:
    shard = Shard(valkey.url, prefix, auth={"secret": SECRET})
    shard.wall = time.time()  # tokens are checked against the real one
    return shard


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with a_shard(valkey, prefix) as shard:
        yield shard


async def say(shard: Shard, lines: Sequence[Line], first: int, room: str = ROOM) -> None:
    """Lines become one batch, or at least are published at once; each says its number."""
    entries = [
        Said(uid, uid, str(number), 1, "top", 25, 1_000 + number, shadowed=shadowed)
        for number, (uid, shadowed) in enumerate(lines, first)
    ]
    outgoing = [Outgoing(room, one.uid, pack(one)) for one in entries]
    await shard.store.publish(outgoing, "e00001", 1_000, 0)


def shown(lines: Sequence[Line], uid: str) -> list[str]:
    """What of all lines somebody sees."""
    numbered = enumerate(lines, 1)
    return [str(number) for number, (who, shadowed) in numbered if who == uid or not shadowed]


def ends_at(viewer: Viewer) -> int:
    """Where the last batch of a viewer ends."""
    return viewer.spans[-1][3] if viewer.spans else 0


def assert_arithmetic(viewer: Viewer, to: int) -> None:
    """Its batches cover all numbers from where it joined, none twice."""
    here = viewer.of("joined")[0]["seq"]
    for _, _, first, last in viewer.spans:
        assert (first, last >= first) == (here + 1, True)
        here = last
    assert here == to


class TestEverybody:
    @settings(max_examples=8, deadline=None)
    @given(
        st.lists(
            st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=6),
            min_size=1,
            max_size=5,
        )
    )
    def test_positions_are_arithmetic_and_only_senders_see_what_is_shadowed(
        self, valkey: EmbeddedEngine, talk: list[list[Line]]
    ) -> None:
        asyncio.run(self.watch(valkey, talk))

    async def watch(self, valkey: EmbeddedEngine, talk: list[list[Line]]) -> None:
        lines = [line for batch in talk for line in batch]
        kinds: list[tuple[str, dict[str, Any]]] = [
            *(("a", {}), ("a", {"binary": True}), ("b", {"compressed": True})),
            *(("b", {"binary": True, "compressed": True}), ("z", {}), ("z", {"binary": True})),
        ]
        async with a_shard(valkey, new_prefix()) as shard:
            async with AsyncExitStack() as stack:
                viewers = [
                    (uid, await stack.enter_async_context(shard.viewer(token(uid), **how)))
                    for uid, how in kinds
                ]
                for _, viewer in viewers:
                    await viewer.join(ROOM)
                with ExitStack() as streams:
                    watchers = [
                        (uid, streams.enter_context(Watcher(shard, f"{token(uid)}&room={rooms}")))
                        for uid, rooms in (("a", ROOM), ("z", ROOM), ("b", f"{ROOM}&room=other"))
                    ]
                    await until(lambda: all(one.of("joined") for _, one in watchers))
                    said = 0
                    for batch in talk:
                        await say(shard, batch, said + 1)
                        said += len(batch)
                    end = f"e00001-{said}"
                    await until(lambda: all(ends_at(one) == said for _, one in viewers))
                    await until(lambda: all(one.last_id.startswith(end) for _, one in watchers))
                    for uid, viewer in viewers:
                        assert viewer.texts == shown(lines, uid)
                        assert_arithmetic(viewer, said)
                    for uid, watcher in watchers:
                        assert [one["text"] for one in watcher.of("msg")] == shown(lines, uid)
            await until(lambda: not shard.group.connections)


class TestHoles:
    async def test_a_batch_of_nothing_else_is_an_empty_one(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await say(shard, [("a", True), ("b", True)], 1)
            await until(lambda: viewer.spans)
            await viewer.settle()
            assert (viewer.spans[-1], viewer.texts) == ((ROOM, "e00001", 1, 2), [])

    async def test_before_what_takes_a_place_itself_there_is_no_jump(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            said = pack(Said("a", "a", "psst", 1, "top", 25, 5, shadowed=True))
            gone = pack(Deleted(1, 6))
            outgoing = [Outgoing(ROOM, "a", said), Outgoing(ROOM, "a", gone)]
            await shard.store.publish(outgoing, "e00001", 1_000, 0)
            assert (await viewer.hear("delete"))["seq"] == 2
            assert viewer.spans == [(ROOM, "e00001", 1, 1)]

    async def test_who_resumes_over_one_has_missed_nothing(self, shard: Shard) -> None:
        async with shard.viewer(token("a")) as sender, shard.viewer() as other:
            for viewer in (sender, other):
                await viewer.join(ROOM)
            await say(shard, [("a", False), ("a", True), ("b", False), ("a", True)], 1)
            await until(lambda: other.spans and other.spans[-1][3] == 4)
            for viewer in (sender, other):
                joined = await viewer.join(ROOM, ("e00001", 1))
                assert (joined["recovered"], joined["seq"]) == (True, 4)
                assert [one["text"] for one in joined["history"]] == ["3"]

    @pytest.mark.parametrize("rooms", [ROOM, f"{ROOM}&room=other"])
    async def test_an_event_stream_that_ended_at_one_has_missed_nothing(
        self, shard: Shard, rooms: str
    ) -> None:
        with Watcher(shard, f"?room={rooms}") as watcher:
            await until(lambda: len(watcher.of("joined")) == len(rooms.split("&")))
            await say(shard, [("a", False), ("a", True)], 1)
            await until(lambda: watcher.last_id.startswith("e00001-2"))
            last_id = watcher.last_id
        await say(shard, [("a", True), ("b", False)], 3)
        with Watcher(shard, f"?room={rooms}", last_id) as watcher:
            # Where the shard has not read it yet, it follows what was missed.
            await until(lambda: watcher.texts(ROOM) == ["4"])
            assert all(joined["recovered"] for joined in watcher.of("joined"))
        await until(lambda: not shard.group.connections)

    def test_one_that_is_a_rooms_newest_is_told_again_as_an_empty_batch(self) -> None:
        room = Room(ROOM, 0, 1, 3)
        room.position.load("e", 7, b"0-0")
        room.remember_only([Shadowed(Msg(ROOM, 7, "e-7", "a", "a", "x", 1, "top", 25, 5))])
        assert again(room) == Msgs(ROOM, "e", 7, 7, [])

    async def test_they_are_in_nobodys_history(self, shard: Shard) -> None:
        await say(shard, [("a", True), ("a", False), ("a", True)], 1)
        async with shard.viewer(token("a")) as sender:
            joined = await sender.join(ROOM)
            assert [(one["seq"], one["text"]) for one in joined["history"]] == [(2, "2")]
            assert joined["seq"] == 3

    async def test_who_is_in_another_room_or_left_is_not_sent_it(self, shard: Shard) -> None:
        async with shard.viewer(token("a")) as there, shard.viewer(token("a")) as gone:
            await there.join("other")
            await gone.join(ROOM)
            await gone.ask("leave", room=ROOM)
            async with shard.viewer() as viewer:
                await viewer.join(ROOM)
                await say(shard, [("a", True)], 1)
                await until(lambda: viewer.spans)
            for one in (there, gone):
                await one.settle()
                assert (one.texts, one.spans) == ([], [])

    async def test_a_guest_sees_its_own(self, shard: Shard) -> None:
        async with shard.viewer() as guest, shard.viewer() as other:
            for viewer in (guest, other):
                await viewer.join(ROOM)
            [welcome] = guest.of("welcome")
            await say(shard, [(welcome["uid"], True)], 1)
            assert (await guest.hear("msg"))["text"] == "1"
            await until(lambda: other.spans)
            assert other.texts == []
