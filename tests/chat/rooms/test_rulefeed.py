"""Rules as a shard knows them: whatever it missed, in the end they are as Redis has them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Self

import pytest

from chat.bus.entries import Changed, Disconnected, pack
from chat.bus.rules import TOLD_BYTES, Rules
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import MUTE, RoomRules, Sanction, pack_sanction
from chat.rooms import rulefeed as module
from chat.rooms.rulefeed import RuleFeed
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import publish, until

HOLDS = pack_sanction(Sanction(0))


class RuleDesk(Desk):
    """Rooms whose rules are changed, and what was told of it."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    def __init__(self, url: str, prefix: str, **how: Any) -> None:
        super().__init__(url, prefix, **how)
        self.rules = Rules(self.store)
        self.rulefeed: RuleFeed = self.rooms._rules
        self.told: list[tuple[str | None, Collection[str] | None]] = []
        self.rulefeed.listeners.append(lambda room, fields: self.told.append((room, fields)))

    @property
    def known(self) -> RoomRules:
        return self.rulefeed.book.of(ROOM)

    async def until_known(self, fields: dict[str, bytes]) -> None:
        await until(lambda: self.known.fields() == fields, f"{fields}, not {self.known.fields()}")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)


@pytest.fixture
async def desk(own_valkey: EmbeddedEngine) -> AsyncIterator[RuleDesk]:
    async with RuleDesk(own_valkey.url, "x") as desk:
        yield desk


class TestFollowing:
    async def test_a_rooms_rules_come_with_it_and_changes_after_them(self, desk: RuleDesk) -> None:
        await desk.rules.change(ROOM, {"mute:u1": HOLDS})
        room = await desk.open()
        assert room.rules is desk.known
        assert desk.known.fields() == {"mute:u1": HOLDS}
        await desk.rules.change(ROOM, {"mute:u2": HOLDS, "mute:u1": None})
        await desk.until_known({"mute:u2": HOLDS})
        assert desk.counts[ChatCount.RULES_LOADED] == 0

    async def test_are_neither_messages_nor_gaps(self, desk: RuleDesk) -> None:
        await desk.open()
        await publish(desk.store, ROOM, "a")
        await desk.rules.change(ROOM, {"mute:u1": HOLDS})
        await publish(desk.store, ROOM, "b")
        await desk.until_heard("a", "b")
        assert desk.counts[ChatCount.BAD_ENTRIES] == desk.counts[ChatCount.GAPS] == 0

    async def test_of_a_room_that_is_closed_are_forgotten(self, desk: RuleDesk) -> None:
        room = await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS})
        await desk.until_known({"mute:u1": HOLDS})
        room.members[0].clear()
        for tick in range(1, 40):
            desk.rooms.tick(tick)
        assert desk.rooms.by_name == {}
        assert not desk.known.known

    async def test_what_is_large_is_fetched(self, desk: RuleDesk) -> None:
        await desk.open()
        words = b"w" * (TOLD_BYTES + 1)
        await desk.rules.change(ROOM, {"words": words, "mute:u1": HOLDS})
        await desk.until_known({"words": words, "mute:u1": HOLDS})
        assert desk.known.words == words
        await desk.rules.change(ROOM, {"words": None})
        await desk.until_known({"mute:u1": HOLDS})
        assert desk.known.words == b""

    @pytest.mark.parametrize(
        "fields",
        [
            {"m": pack(Changed({"mute:u1": HOLDS}))},
            {"m": pack(Changed({"mute:u1": HOLDS})), "v": "x"},
            {"m": b"?", "v": "1"},
            {"m": pack(Disconnected("u1", "", 1.0)), "v": "1"},
        ],
    )
    async def test_what_is_none_of_ours_is_counted(
        self, desk: RuleDesk, fields: dict[str, Any]
    ) -> None:
        await desk.open()
        stream = desk.keys.fanout(desk.keys.partition(ROOM))
        await desk.raw.xadd(stream, {"r": ROOM, "p": "", **fields})
        await until(lambda: desk.counts[ChatCount.BAD_ENTRIES] == 1)
        assert desk.known.fields() == {}


class TestWhatWasMissed:
    async def test_is_noticed_at_the_next_change(self, desk: RuleDesk) -> None:
        await desk.open()
        await desk.raw.hset(desk.keys.rules(ROOM), mapping={"v": 1, "mute:u1": HOLDS})
        await desk.rules.change(ROOM, {"mute:u2": HOLDS})
        await desk.until_known({"mute:u1": HOLDS, "mute:u2": HOLDS})
        assert desk.counts[ChatCount.RULES_LOADED] == 1

    async def test_is_noticed_where_messages_were_missed(self, desk: RuleDesk) -> None:
        await desk.open()
        await publish(desk.store, ROOM, "a", "b")
        await desk.until_heard("a", "b")
        partition = desk.keys.partition(ROOM)
        await desk.raw.hset(desk.keys.rules(ROOM), mapping={"v": 1, "mute:u1": HOLDS})
        await desk.raw.xadd(
            desk.keys.fanout(partition),
            {"r": ROOM, "p": "e00001-4", "m": b"x"},
        )
        await desk.until_known({"mute:u1": HOLDS})

    async def test_while_the_feed_was_cut_is_known_after_it(
        self, desk: RuleDesk, own_valkey: EmbeddedEngine
    ) -> None:
        await desk.open()
        await desk.raw.hset(desk.keys.rules(ROOM), mapping={"v": 1, "mute:u1": HOLDS})
        assert not desk.known.fields()
        await desk.raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await desk.until_known({"mute:u1": HOLDS})


class TestARedisThatLostThem:
    async def test_is_given_back_what_is_known_here(self, desk: RuleDesk) -> None:
        await desk.open()
        await desk.open("bare")
        await desk.rules.change(ROOM, {"mute:u1": HOLDS, "owners": b"\x90", "newer": b"x"})
        await desk.rules.change(ROOM, {"mute:u2": HOLDS})
        fields = {"mute:u1": HOLDS, "mute:u2": HOLDS, "owners": b"\x90", "newer": b"x"}
        await desk.until_known(fields)
        await desk.raw.flushall()
        await desk.rooms.resync()
        await until(lambda: desk.known.version == 4)
        assert desk.known.fields() == fields
        assert (await desk.rules.load_room(ROOM)).fields == fields
        assert not await desk.raw.exists(desk.keys.rules("bare"))

    async def test_and_another_shard_is_told(
        self, desk: RuleDesk, own_valkey: EmbeddedEngine
    ) -> None:
        await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS})
        await desk.until_known({"mute:u1": HOLDS})
        await desk.raw.flushall()
        async with RuleDesk(own_valkey.url, "x", shard="s2") as other:
            await other.open()
            assert other.known.fields() == {}
            await desk.rooms.resync()
            await other.until_known({"mute:u1": HOLDS})

    async def test_the_later_version_wins(self, desk: RuleDesk) -> None:
        await desk.open()
        for uid in ("u1", "u2", "u3"):
            await desk.rules.change(ROOM, {f"mute:{uid}": HOLDS})
        everything = {f"mute:{uid}": HOLDS for uid in ("u1", "u2", "u3")}
        await desk.until_known(everything)
        await desk.raw.flushall()
        await desk.rules.restore(ROOM, {"mute:u1": HOLDS}, -1, expected=0)  # it knew version 1 only
        await desk.rooms.resync()
        await until(lambda: desk.known.version == 5)
        assert (await desk.rules.load_room(ROOM)).fields == everything

    async def test_by_one_that_knew_less_and_the_next_version(self, desk: RuleDesk) -> None:
        await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS, "ban:u2": HOLDS})
        await desk.until_known({"mute:u1": HOLDS, "ban:u2": HOLDS})
        known = desk.known.version
        await desk.raw.flushall()
        stale = {"mute:u1": HOLDS, "ban:lifted": HOLDS}
        await desk.rules.restore(ROOM, stale, known - 1, expected=0)  # its next is ours, too
        found = None
        while found != {"mute:u1": HOLDS, "ban:u2": HOLDS}:
            found = (await desk.rules.load_room(ROOM)).fields
            await asyncio.sleep(0.01)
        await until(lambda: desk.known.fields() == found)

    async def test_of_everywhere_too(self, desk: RuleDesk) -> None:
        desk.rulefeed.start()
        await desk.rulefeed.started.wait()
        desk.rulefeed.apply(None, 1, Changed({"ban:u1": HOLDS}))
        await desk.rulefeed.resync([None])
        await until(lambda: desk.rulefeed.book.everywhere.version == 1)
        stored: dict[str, bytes] = {}

        async def restored() -> None:
            stored.update((await desk.rules.load_everywhere()).fields)

        await restored()
        while not stored:
            await restored()
        assert stored == {"ban:u1": HOLDS}


async def test_everywhere_is_loaded_however_long_that_takes(own_valkey: EmbeddedEngine) -> None:
    async with RuleDesk(own_valkey.url, "x") as desk:
        await desk.raw.set(desk.keys.rules(None), "no hash")
        desk.rulefeed.start()
        await until(lambda: None in desk.rulefeed._loading)
        assert not desk.rulefeed.book.everywhere.known
        async with desk.raw.pipeline(transaction=True) as pipe:
            pipe.delete(desk.keys.rules(None))
            pipe.hset(desk.keys.rules(None), mapping={"v": 1, "mute:u1": HOLDS})
            await pipe.execute()
        await desk.rulefeed.started.wait()
        assert desk.rulefeed.book.everywhere.get(MUTE, "u1", 1) == Sanction(0)
        assert desk.told == [(None, None)]
