"""Rules as a shard knows them: whatever it missed, in the end they are as Redis has them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Self

import pytest

from chat.bus.connect import StoreError
from chat.bus.entries import Changed, Disconnected, pack
from chat.bus.kept import Kept, Version
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

    async def until_kept(self, fields: dict[str, bytes], room: str | None = ROOM) -> None:
        """Wait until Redis has these."""
        found: list[Kept] = [Kept()]
        for _ in range(1_000):
            found = await self.rules.load([room])
            if found[0].fields == fields:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{fields}, not {found[0].fields}")


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

    async def test_the_first_of_a_room_is_known_at_once(self, desk: RuleDesk) -> None:
        await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS})
        await desk.until_known({"mute:u1": HOLDS})
        assert desk.counts[ChatCount.RULES_LOADED] == 0

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
            {"m": b"?", "v": "1-1"},
            {"m": pack(Disconnected("u1", "", 1.0)), "v": "1-1"},
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
        await desk.until_kept(fields)
        assert desk.known.fields() == fields
        assert not await desk.raw.exists(desk.keys.rules("bare"))

    async def test_though_nothing_was_cut_and_what_was_changed_since_holds_too(
        self, desk: RuleDesk
    ) -> None:
        await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS, "mute:u2": HOLDS})
        await desk.until_known({"mute:u1": HOLDS, "mute:u2": HOLDS})
        await desk.raw.flushall()
        longer = pack_sanction(Sanction(1))
        await desk.rules.change(ROOM, {"mute:u2": longer, "mute:u3": HOLDS})
        fields = {"mute:u1": HOLDS, "mute:u2": longer, "mute:u3": HOLDS}
        await desk.until_known(fields)
        await desk.until_kept(fields)

    async def test_shards_that_knew_different_things_all_give_theirs(
        self, desk: RuleDesk, own_valkey: EmbeddedEngine
    ) -> None:
        async with RuleDesk(own_valkey.url, "x", shard="s2") as other:
            await desk.open()
            await other.open()
            for uid in ("u1", "u2", "u3"):
                await desk.rules.change(ROOM, {f"mute:{uid}": HOLDS})
                if uid == "u1":
                    await other.until_known({"mute:u1": HOLDS})
                    await other.stop_reading()
            everything = {f"mute:{uid}": HOLDS for uid in ("u1", "u2", "u3")}
            await desk.until_known(everything)
            await desk.raw.flushall()
            await other.rooms.resync()
            await desk.until_kept(everything)
            await desk.until_known(everything)

    async def test_of_an_earlier_version_is_given_what_it_lacks(self, desk: RuleDesk) -> None:
        await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS})
        before = await desk.raw.hgetall(desk.keys.rules(ROOM))
        await desk.rules.change(ROOM, {"mute:u2": HOLDS})
        await desk.until_known({"mute:u1": HOLDS, "mute:u2": HOLDS})
        await desk.raw.delete(desk.keys.rules(ROOM))
        await desk.raw.hset(desk.keys.rules(ROOM), mapping=before)
        await desk.rooms.resync()
        await desk.until_kept({"mute:u1": HOLDS, "mute:u2": HOLDS})

    async def test_of_everywhere_too(self, desk: RuleDesk) -> None:
        desk.rulefeed.start()
        await desk.rulefeed.started.wait()
        desk.rulefeed.apply(None, Version(1, 1), Changed({"ban:u1": HOLDS}))
        await desk.rulefeed.resync([None])
        await desk.until_kept({"ban:u1": HOLDS}, None)
        assert desk.rulefeed.book.everywhere.fields() == {"ban:u1": HOLDS}

    async def test_while_it_is_away_is_asked_again_and_the_rules_hold(
        self, desk: RuleDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await desk.open()
        await desk.rules.change(ROOM, {"mute:u1": HOLDS, "mute:u2": HOLDS})
        await desk.until_known({"mute:u1": HOLDS, "mute:u2": HOLDS})
        tries: list[object] = []
        give_back = desk.rulefeed._rules.give_back

        async def fail(room: str | None, fields: Any) -> None:
            tries.append(dict(fields))
            if "mute:u2" in fields:
                raise StoreError("away")
            await give_back(room, fields)

        monkeypatch.setattr(desk.rulefeed._rules, "give_back", fail)
        await desk.raw.flushall()
        await desk.rooms.resync()
        await until(lambda: len(tries) == 2)
        assert desk.known.fields() == {"mute:u1": HOLDS, "mute:u2": HOLDS}
        await desk.rules.change(ROOM, {"mute:u2": None})  # what is lifted now is not given back
        await desk.until_kept({"mute:u1": HOLDS})
        assert desk.known.fields() == {"mute:u1": HOLDS}


async def test_an_answer_older_than_what_was_told_is_no_loss(
    desk: RuleDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.open()
    await desk.rules.change(ROOM, {"mute:u1": HOLDS, "mute:u2": HOLDS})
    await desk.until_known({"mute:u1": HOLDS, "mute:u2": HOLDS})
    old = await desk.rules.load([ROOM])
    await desk.rules.change(ROOM, {"mute:u2": None})
    await desk.until_known({"mute:u1": HOLDS})
    desk.rulefeed.load(ROOM, old[0])
    await until(lambda: desk.counts[ChatCount.RULES_LOADED] == 1)
    assert desk.known.fields() == {"mute:u1": HOLDS}
    assert desk.rulefeed._lost == {}


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
