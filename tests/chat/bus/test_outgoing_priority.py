"""A room's limit and how much messages matter, in the publish script on a real Valkey."""

from collections.abc import AsyncIterator

import pytest

from chat.bus.outgoing import RoomLimits
from chat.bus.rules import Rules
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import Settings, pack_settings
from tests.chat.bus.test_outgoing import ROOM, Past, past, said, say, told, wait_s
from tests.chat.rig import a_store

assert past

BUSY = "room_busy"


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


def limit(priority: int, per_s: int = 4) -> RoomLimits:
    return RoomLimits(messages_per_s=per_s, priority=priority)


async def set_in(store: Store, settings: Settings) -> None:
    await Rules(store).change(ROOM, {"settings": pack_settings(settings)})


class TestPriorities:
    async def test_what_is_less_than_chat_has_half_the_burst(self, store: Store) -> None:
        got = await say(store, *(said(limit(4), str(i)) for i in range(4)))
        assert told(got) == [1, 2, BUSY, BUSY]
        assert 0.2 < wait_s(got[2:3]) <= 0.25
        assert told(await say(store, *(said(limit(5), str(i)) for i in range(3)))) == [3, 4, BUSY]

    @pytest.mark.parametrize("per_s", [1, 2])
    async def test_of_the_smallest_burst_it_has_one(
        self, store: Store, past: Past, per_s: int
    ) -> None:
        low = limit(0, per_s)
        assert told(await say(store, said(low, "a"), said(low, "b"))) == [1, BUSY]
        await past(1)
        assert told(await say(store, said(low, "a"), said(low, "b"))) == [2, BUSY]

    async def test_what_is_more_is_never_refused_and_chat_yields(
        self, store: Store, past: Past
    ) -> None:
        got = await say(store, *(said(limit(6), str(i)) for i in range(20)))
        assert told(got) == list(range(1, 21))
        chat = said(limit(5), "x")
        got = await say(store, chat)
        assert told(got) == [BUSY]
        assert 0 < wait_s(got) <= 0.25
        await past(0.25)  # however much there was, chat is back as soon as there is no more
        assert told(await say(store, chat)) == [21]

    async def test_where_there_is_no_limit_all_are_alike(self, store: Store) -> None:
        got = await say(store, *(said(limit(priority, 0), "x") for priority in (0, 4, 5, 9) * 5))
        assert told(got) == list(range(1, 21))


class TestByRules:
    """Who sends for a backend does not know the room's rules; the script does."""

    @staticmethod
    def limits(priority: int, otherwise: int = 0) -> RoomLimits:
        return RoomLimits(messages_per_s=otherwise, priority=priority, by_rules=True)

    async def test_the_rooms_own_limit_holds(self, store: Store) -> None:
        await set_in(store, Settings(messages_per_s=2))
        got = await say(store, *(said(self.limits(5), "x") for _ in range(4)))
        assert told(got) == [1, 2, BUSY, BUSY]

    async def test_and_counts_what_is_more_than_chat(self, store: Store) -> None:
        await set_in(store, Settings(messages_per_s=2))
        got = await say(store, *(said(self.limits(9), "x") for _ in range(4)))
        assert told(got) == [1, 2, 3, 4]
        assert told(await say(store, said(limit(5, 2), "x"))) == [BUSY]

    async def test_without_one_that_of_the_server(self, store: Store) -> None:
        some = [said(self.limits(5, otherwise=3), "x") for _ in range(4)]
        assert told(await say(store, *some)) == [1, 2, 3, BUSY]
        await set_in(store, Settings(slow_s=60, messages_per_s=5))
        other = [said(self.limits(5, otherwise=3), "x", room="other") for _ in range(4)]
        assert told(await say(store, *other)) == [1, 2, 3, BUSY]

    async def test_without_any_there_is_none(self, store: Store) -> None:
        assert told(await say(store, *[said(self.limits(0), "x")] * 30)) == list(range(1, 31))

    async def test_slow_mode_is_not_for_them(self, store: Store) -> None:
        await set_in(store, Settings(slow_s=60, no_repeats_s=60, messages_per_s=50))
        assert told(await say(store, *[said(self.limits(5), "x")] * 3)) == [1, 2, 3]

    @pytest.mark.parametrize(
        "packed", [b"", b"\xc1", b"\x90", b"\xa1x", b"\x81\xaemessages_per_s\xa1x"]
    )
    async def test_rules_that_cannot_be_read_are_none(self, store: Store, packed: bytes) -> None:
        await Rules(store).change(ROOM, {"settings": packed})
        assert told(await say(store, *[said(self.limits(5), "x")] * 3)) == [1, 2, 3]
