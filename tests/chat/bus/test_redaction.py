"""Messages taken back, on a real Valkey: gone from all that can be read, and told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.entries import Cleared, Deleted, Ruled, Said, pack
from chat.bus.redaction import NeverPublished, NoMessage, Redaction, Removal
from chat.bus.store import Outgoing, Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Clear, Delete, Msg, Removed, Sequenced
from tests.chat.bus.receipts import put
from tests.chat.rig import a_store, outgoing

ROOM = "live:42"
KEPT = 6


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, history=KEPT)
    yield store
    await store.close()


@pytest.fixture
def redaction(store: Store) -> Redaction:
    return Redaction(store, lambda: 5.0)


def said(text: str, uid: str = "u", ts: int = 7) -> Outgoing:
    return Outgoing(ROOM, uid, pack(Said(uid, "n", text, 1, "scroll", 25, ts)))


def ruled(text: str, seq: int, uid: str = "u", ts: int = 7) -> Outgoing:
    """A room's rules that have a message pinned."""
    pinned = {"seq": seq, "uid": uid, "text": text, "ts": 1}
    return Outgoing(ROOM, "", pack(Ruled({"slow_s": 0, "pinned": pinned}, ts)))


async def everything(store: Store, raw: Any) -> str:
    """All that Redis has of a room's partition, in a string."""
    history = await raw.xrange(store.keys.history(ROOM))
    fanout = await raw.xrange(store.keys.fanout(store.keys.partition(ROOM)))
    return repr((history, fanout, await raw.hgetall(store.keys.room(ROOM))))


async def shown(store: Store) -> list[str]:
    """A room's history, in words: one that joins, one that pages either way, all the same."""
    state = await store.open_room(ROOM, newest=KEPT)
    forward = await store.page(ROOM, 0, 99)
    back = await store.page_before(ROOM, state.seq + 1, KEPT)
    resumed = await store.open_room(ROOM, after=state.seq - KEPT, of=state.epoch)
    assert state.places == resumed.places
    assert [one for one in forward.places if one.seq > state.seq - KEPT] == state.places
    assert back.places == forward.places[-KEPT:]
    assert not forward.more
    return [word(place) for place in state.places]


def word(place: Sequenced) -> str:
    match place:
        case Msg():
            return place.text
        case Removed():
            return f"-{place.ts}"
        case Delete():
            return f"delete {place.target}"
        case Clear():
            return f"clear {place.uid or 'all'}"
        case _:
            return "state"


class TestRemove:
    async def test_a_message_is_gone_from_everywhere_and_that_is_told(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        await put(store, said("fine"), said("vile", ts=8), said("well"))
        assert await redaction.remove(ROOM, 2) == Removal("e1", 4, 1)
        assert "vile" not in await everything(store, raw)
        assert await shown(store) == ["fine", "-8", "well", "delete 2"]
        stream = await raw.xrange(store.keys.fanout(store.keys.partition(ROOM)))
        assert [fields["p"] for _, fields in stream] == ["e1-1", "e1-3", "e1-4"]
        [told] = (await store.open_room(ROOM, newest=1)).places
        assert told == Deleted(2, 5_000).at(ROOM, "e1", 4)

    async def test_rules_that_pinned_it_go_with_it(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        await put(store, said("fine"), said("vile"), ruled("vile", 2), ruled("fine", 1, ts=9))
        assert await redaction.remove(ROOM, 2) == Removal("e1", 5, 1)
        assert "vile" not in await everything(store, raw)
        assert await shown(store) == ["fine", "-7", "-7", "state", "delete 2"]

    async def test_rules_that_pin_what_has_left_the_history_go(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        await put(store, said("vile"), *[said("fine")] * KEPT, ruled("vile", 1))
        assert await redaction.remove(ROOM, 1) == Removal("e1", KEPT + 3, 0)
        assert "vile" not in repr(await raw.xrange(store.keys.history(ROOM)))
        assert (await shown(store))[-2:] == ["-7", "delete 1"]

    async def test_again_is_as_if_once(self, store: Store, redaction: Redaction) -> None:
        await put(store, said("vile"))
        await redaction.remove(ROOM, 1)
        assert await redaction.remove(ROOM, 1) == Removal("e1", 0, 0)
        assert await store.peek_room(ROOM) == ("e1", 2)

    async def test_the_others_of_its_room_and_of_its_millisecond_stay(
        self, store: Store, redaction: Redaction
    ) -> None:
        here = store.keys.partition(ROOM)
        other = next(r for r in (f"r{i}" for i in range(99)) if store.keys.partition(r) == here)
        await put(store, *(one for i in range(50) for one in (outgoing(other, "x"), said(str(i)))))
        assert (await redaction.remove(ROOM, 50)).count == 1
        assert len((await store.page(other, 0, 99)).places) == KEPT
        assert await shown(store) == ["45", "46", "47", "48", "-7", "delete 50"]

    @pytest.mark.parametrize("seq", [2, 99, 2**53])
    async def test_a_number_nobody_was_given_is_an_error(
        self, store: Store, redaction: Redaction, seq: int
    ) -> None:
        await put(store, said("a"))
        with pytest.raises(NeverPublished):
            await redaction.remove(ROOM, seq)
        assert await store.peek_room(ROOM) == ("e1", 1)

    async def test_a_room_nobody_spoke_in_has_nothing_to_remove(
        self, store: Store, redaction: Redaction
    ) -> None:
        with pytest.raises(NeverPublished):
            await redaction.remove(ROOM, 1)
        assert await redaction.clear(ROOM, None) == Removal("", 0, 0)
        assert await store.peek_room(ROOM) is None

    async def test_what_is_no_message_cannot_be_removed(
        self, store: Store, redaction: Redaction
    ) -> None:
        entries = (Deleted(9, 1), Cleared(None, 1), Ruled({"a": 1}, 1))
        await put(store, *(Outgoing(ROOM, "u", pack(entry)) for entry in entries))
        for seq in (1, 2, 3):
            with pytest.raises(NoMessage):
                await redaction.remove(ROOM, seq)

    async def test_one_of_another_epoch_is_gone_already(
        self, store: Store, redaction: Redaction
    ) -> None:
        await put(store, said("a"))
        assert await redaction.remove(ROOM, 1, "e0") == Removal("e1", 0, 0)
        assert await shown(store) == ["a"]
        assert (await redaction.remove(ROOM, 1, "e1")).count == 1

    async def test_one_that_left_the_history_is_still_told_of(
        self, store: Store, redaction: Redaction
    ) -> None:
        await put(store, *(said(str(i)) for i in range(9)))
        assert await redaction.remove(ROOM, 2) == Removal("e1", 10, 0)
        assert (await shown(store))[-1] == "delete 2"

    async def test_what_is_kept_of_it_is_within_the_history(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        for seq in range(1, 60, 2):
            await put(store, said("x"))
            await redaction.remove(ROOM, seq)
        state = await store.open_room(ROOM, newest=KEPT)
        assert [place.seq for place in state.places] == list(range(state.seq - KEPT + 1, 61))
        everywhere = await store.open_room(ROOM, after=0, of="e1")
        removed = [place for place in everywhere.places if isinstance(place, Removed)]
        assert len(removed) <= KEPT

    async def test_it_is_kept_as_long_as_the_room(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        await put(store, said("a"))
        await raw.expire(store.keys.room(ROOM), 5)
        await redaction.remove(ROOM, 1)
        assert await raw.ttl(store.keys.room(ROOM)) == 600
        # A new epoch knows nothing of it.
        await raw.delete(store.keys.room(ROOM))
        await put(store, said("b"), epoch="e2")
        assert await shown(store) == ["b"]

    async def test_a_position_goes_on_in_a_renewed_epoch(
        self, store: Store, redaction: Redaction
    ) -> None:
        await put(store, said("a"), said("b"))
        await redaction.remove(ROOM, 1)
        await store.renew_room(ROOM, "e1", "e9")
        assert await shown(store) == ["-7", "b", "delete 1"]

    async def test_a_place_is_known_by_its_time_though_it_is_removed(
        self, store: Store, redaction: Redaction
    ) -> None:
        await put(store, said("a", ts=11), said("b", ts=12))
        await redaction.remove(ROOM, 2)
        [peek] = await store.peek_rooms([(ROOM, 2)])
        assert peek is not None
        assert (peek.seq, peek.found) == (3, Removed(ROOM, 2, 12))

    async def test_who_is_behind_fills_the_hole_with_the_mark(
        self, store: Store, redaction: Redaction
    ) -> None:
        await put(store, said("a"), said("b"), said("c"))
        await redaction.remove(ROOM, 2)
        state = await store.open_room(ROOM, after=1, of="e1")
        assert [place.seq for place in state.places] == [2, 3, 4]


class TestClear:
    async def test_a_room(self, store: Store, raw: Any, redaction: Redaction) -> None:
        await put(store, said("vile", "u"), said("vile", "v"))
        assert await redaction.clear(ROOM, None) == Removal("e1", 3, 2)
        await put(store, said("well"))
        assert "vile" not in await everything(store, raw)
        assert await shown(store) == ["-7", "-7", "clear all", "well"]

    async def test_one_user(self, store: Store, raw: Any, redaction: Redaction) -> None:
        await put(store, said("vile", "u"), said("fine", "v"), said("vile", "u"))
        assert await redaction.clear(ROOM, "u") == Removal("e1", 4, 2)
        assert "vile" not in await everything(store, raw)
        assert await shown(store) == ["-7", "fine", "-7", "clear u"]

    async def test_rules_that_pinned_one_of_them_go_with_it(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        await put(store, said("vile"), ruled("vile", 1), said("fine", "v"), ruled("fine", 3, "v"))
        assert await redaction.clear(ROOM, "u") == Removal("e1", 5, 1)
        assert "vile" not in await everything(store, raw)
        assert await shown(store) == ["-7", "-7", "fine", "state", "clear u"]

    async def test_rules_and_what_told_of_removals_stay(
        self, store: Store, redaction: Redaction
    ) -> None:
        await put(store, said("a"), Outgoing(ROOM, "u", pack(Ruled({"a": 1}, 1))))
        await redaction.remove(ROOM, 1)
        await redaction.clear(ROOM, None)
        assert await shown(store) == ["-7", "state", "delete 1", "clear all"]

    async def test_a_long_history(self, valkey: EmbeddedEngine, prefix: str, raw: Any) -> None:
        store = a_store(valkey.url, prefix, history=3_000)
        for _ in range(5):
            await put(store, *(said("vile", f"u{i % 2}") for i in range(500)))
        assert (await Redaction(store, lambda: 5.0).clear(ROOM, "u1")).count == 1_250
        state = await store.open_room(ROOM, newest=3_000)
        assert [place.seq for place in state.places] == list(range(1, 2_502))
        assert sum(isinstance(place, Removed) for place in state.places) == 1_250
        assert sum(isinstance(place, Msg) for place in state.places) == 1_250
        await store.close()


class TestTrouble:
    async def test_what_redis_cannot_tell_of_is_not_removed(
        self, store: Store, raw: Any, redaction: Redaction
    ) -> None:
        await put(store, said("a"))
        fanout = store.keys.fanout(store.keys.partition(ROOM))
        await raw.delete(fanout)
        await raw.set(fanout, "x")
        with pytest.raises(StoreError):
            await redaction.remove(ROOM, 1)
        await raw.delete(fanout)
        assert await shown(store) == ["a"]
        assert (await redaction.remove(ROOM, 1)).seq == 2

    @pytest.mark.parametrize("strange", ["\x00", "", "\x91\xa1m", "\x92\xa1m\x01"])
    async def test_entries_that_are_none_of_ours_stop_nothing(
        self, store: Store, raw: Any, redaction: Redaction, strange: str
    ) -> None:
        await put(store, said("a"))
        await raw.xadd(store.keys.history(ROOM), {"m": strange.encode("latin-1")}, id="2-0")
        await raw.hset(store.keys.room(ROOM), "seq", 2)
        await raw.hset(store.keys.room(ROOM), "removed", b"\xc1")
        assert (await redaction.clear(ROOM, "u")).count == 1
        assert await shown(store) == ["-7", "clear u"]
