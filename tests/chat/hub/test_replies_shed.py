"""A crowded room on two shards: all see the same and their own, and are told of the rest."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest

from chat.bus.entries import Deleted, Said, pack
from chat.bus.store import Outgoing
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms.shed import Display
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.hub.test_replies import Watcher
from tests.chat.hub.test_replies_shadowed import assert_arithmetic, ends_at
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"
KINDS: list[tuple[str, dict[str, Any]]] = [
    *(("a", {}), ("a", {"binary": True}), ("b", {"compressed": True})),
    *(("z", {}), ("z", {"binary": True, "compressed": True})),
]


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async with AsyncExitStack() as opened:
        both = [
            await opened.enter_async_context(
                Shard(valkey.url, prefix, auth={"secret": SECRET}, rooms={"shown_per_s": 20})
            )
            for _ in range(2)
        ]
        for shard in both:
            shard.wall = time.time()  # tokens are checked against the real one
        yield both


async def say(
    shard: Shard, uids: Sequence[str], first: int = 1, room: str = ROOM, **more: Any
) -> int:
    """Each says its number, all at once; the last number."""
    said = [
        Said(uid, uid, str(number), 1, "top", 25, 1_000 + number, **more)
        for number, uid in enumerate(uids, first)
    ]
    outgoing = [Outgoing(room, one.uid, pack(one)) for one in said]
    await shard.store.publish(outgoing, "e00001", 1_000, 0)
    return first + len(uids) - 1


def numbers(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts]


def assert_told(viewer: Viewer | Watcher, seen: int, said: int) -> None:
    """What it was not shown it was told of."""
    sheds = viewer.of("shed")
    assert sum(one["count"] for one in sheds) == said - seen
    seqs = [one["seq"] for one in sheds]
    assert seqs == sorted(set(seqs))
    assert all(one["count"] > 0 and set(one) == {"t", "room", "seq", "count"} for one in sheds)


class TestHotRoom:
    async def test_all_see_the_same_and_their_own(self, shards: list[Shard]) -> None:
        async with AsyncExitStack() as stack:
            viewers = [
                (uid, await stack.enter_async_context(shard.viewer(token(uid), **how)))
                for shard in shards
                for uid, how in KINDS
            ]
            for _, viewer in viewers:
                await viewer.join(ROOM)
            with ExitStack() as streams:
                watchers = [
                    (uid, streams.enter_context(Watcher(shard, f"{token(uid)}&room={rooms}")))
                    for shard in shards
                    for uid, rooms in (("a", ROOM), ("z", ROOM), ("b", f"{ROOM}&room=other"))
                ]
                await until(lambda: all(one.of("joined") for _, one in watchers))
                senders = {"a": set[int](), "b": set[int]()}
                said = 0
                for turn in range(12):
                    uids = [f"u{turn}-{i}" for i in range(8)] + ["a", "b"]
                    for uid in senders:
                        senders[uid].add(said + 1 + uids.index(uid))
                    said = await say(shards[turn % 2], uids, said + 1)
                said = await say(shards[0], ["system"], said + 1, priority=8)
                await until(lambda: all(ends_at(one) == said for _, one in viewers))
                end = f"e00001-{said}"
                await until(lambda: all(one.last_id.startswith(end) for _, one in watchers))

                seen = numbers(next(one for uid, one in viewers if uid == "z").texts)
                assert 5 <= len(seen) < said
                for uid, viewer in viewers:
                    own = senders.get(uid, set())
                    assert numbers(viewer.texts) == sorted({*seen, *own})
                    assert_arithmetic(viewer, said)
                    assert_told(viewer, len(viewer.texts), said)
                    ends = {span[3] for span in viewer.spans}
                    assert {one["seq"] for one in viewer.of("shed")} <= ends
                for uid, watcher in watchers:
                    texts = [one["text"] for one in watcher.of("msg")]
                    assert numbers(texts) == sorted({*seen, *senders.get(uid, set())})
                    assert_told(watcher, len(texts), said)
                self.assert_counted(shards, said)
        await until(lambda: not any(shard.group.connections for shard in shards))

    def assert_counted(self, shards: Sequence[Shard], said: int) -> None:
        """Every delivery was made, or is counted as left out; and nobody joined again."""
        for shard in shards:
            shown = shard.count(ChatCount.MESSAGES_DELIVERED)
            assert shown + shard.count(ChatCount.MESSAGES_SHED) == said * (len(KINDS) + 3)
            assert shard.count(ChatCount.JOINS) == len(KINDS) + 4
            assert shard.count(ChatCount.GAPS) == 0

    async def test_a_burst_that_is_over_is_told_within_a_second(self, shards: list[Shard]) -> None:
        shard = shards[0]
        async with shard.viewer() as viewer, shard.viewer(token("a")) as sender:
            for one in (viewer, sender):
                await one.join(ROOM)
            said = await say(shard, [f"u{i}" for i in range(40)])
            said = await say(shard, ["v", "a", "w"], said + 1)
            room = shard.service.rooms.by_name[ROOM]
            await until(lambda: room.position.seq == said)
            shard.advance()
            await until(lambda: ends_at(viewer) == ends_at(sender) == said)
            for one in (viewer, sender):
                assert_arithmetic(one, said)
                assert_told(one, len(one.texts), said)
            assert "42" in sender.texts

    async def test_who_joins_in_between_goes_on_from_there(
        self, shards: list[Shard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # No chat is shown at all, whenever a window ends.
        monkeypatch.setattr(Display, "shows", lambda _, msg, at: (msg.priority or 5) > 5)
        shard = shards[0]
        async with AsyncExitStack() as stack:
            viewers = [await stack.enter_async_context(shard.viewer())]
            await viewers[0].join(ROOM)
            room = shard.service.rooms.by_name[ROOM]
            said = await say(shard, [f"u{i}" for i in range(40)])
            for _ in range(4):
                said = await say(shard, ["v", "a", "w"], said + 1)
                await until(lambda said=said: room.position.seq == said)  # type: ignore[misc]
                for query in ("", token("a")):
                    viewers.append(await stack.enter_async_context(shard.viewer(query)))
                    joined = await viewers[-1].join(ROOM)
                    assert joined["seq"] == said
            await viewers[1].join(ROOM, ("e00001", said - 1))  # and who brings itself up to date
            viewers[1].spans.clear()
            viewers[1].events[:] = viewers[1].of("joined")[1:]
            assert room.held
            with Watcher(shard, f"?room={ROOM}") as watcher:
                await until(lambda: watcher.of("joined"))
                told = await say(shard, ["a", "system"], said + 1, priority=6)
                await until(lambda: all(ends_at(one) == told for one in viewers))
                await until(lambda: watcher.last_id.startswith(f"e00001-{told}"))
                assert [one["text"] for one in watcher.of("msg")] == [f"{told - 1}", f"{told}"]
                assert watcher.of("shed") == []
            for viewer in viewers:
                assert_arithmetic(viewer, told)
            for viewer in viewers[1:]:
                start = viewer.of("joined")[0]["seq"]
                assert_told(viewer, len(viewer.texts), told - start)
            assert room.ahead == {}
            left_out = sum(one["count"] for viewer in viewers for one in viewer.of("shed"))
            assert shard.count(ChatCount.MESSAGES_SHED) == left_out
        await until(lambda: not shard.group.connections)

    async def test_a_stream_that_ends_while_it_is_held_comes_back_for_it(
        self, shards: list[Shard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Display, "shows", lambda _, msg, at: (msg.priority or 5) > 5)
        shard = shards[0]
        said = await say(shard, ["system"] * 3, priority=8)
        query = f"{token('a')}&room={ROOM}&room=other"
        with Watcher(shard, query) as there:
            await until(lambda: len(there.of("joined")) == 2)
            room = shard.service.rooms.by_name[ROOM]
            said = await say(shard, ["v", "a"], said + 1)
            await until(lambda: room.position.seq == said)
            assert room.held
            with Watcher(shard, query) as late:
                await until(lambda: len(late.of("joined")) == 2)
                await say(shard, ["system"], room="other", priority=8)
                await until(lambda: there.of("msg") and late.of("msg"))
                last_id = there.last_id
                places = [one.split(",")[0] for one in (last_id, late.last_id)]
                joins = [one for each in (there, late) for one in each.of("joined")]
                told = [one["ts"] for one in joins if one["room"] == ROOM]
                assert places == [f"e00001-3-{told[0]}", f"e00001-{said}-{told[1]}"]
        with Watcher(shard, query, last_id) as back:
            await until(lambda: len(back.of("joined")) == 2)
            missed = {one["room"]: one for one in back.of("joined")}[ROOM]
            assert missed["recovered"]
            assert [one["text"] for one in missed["history"]] == ["4", "5"]
        await until(lambda: not shard.group.connections)

    async def test_what_is_taken_back_is_told_behind_it(self, shards: list[Shard]) -> None:
        shard = shards[0]
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            said = await say(shard, [f"u{i}" for i in range(40)])
            gone = Outgoing(ROOM, "u", pack(Deleted(1, 6)))
            await shard.store.publish([gone], "e00001", 1_000, 0)
            assert (await viewer.hear("delete"))["seq"] == said + 1
            assert ends_at(viewer) == said
            await viewer.settle()
            assert_told(viewer, len(viewer.texts), said)

    async def test_who_comes_back_is_shown_all(self, shards: list[Shard]) -> None:
        shard = shards[0]
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            said = await say(shard, [f"u{i}" for i in range(40)])
            await until(lambda: shard.service.rooms.by_name[ROOM].position.seq == said)
            joined = await viewer.join(ROOM, ("e00001", 20))
            assert joined["recovered"]
            assert numbers([one["text"] for one in joined["history"]]) == list(range(21, said + 1))
