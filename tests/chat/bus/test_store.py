"""The scripts and what Redis makes of them, against a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.entries import Noticed, pack
from chat.bus.servers import LANES
from chat.bus.store import MIN_ID, RoomState, Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.bus.receipts import places, put, texts
from tests.chat.rig import a_store, outgoing, publish

ROOM = "live:42"
ROOMS = [f"r{i}" for i in range(40)]


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, history=5)
    yield store
    await store.close()


class TestLostState:
    async def test_a_publish_begins_a_new_epoch_with_a_clean_history(
        self, store: Store, raw: Any
    ) -> None:
        await publish(store, ROOM, "a", "b", "c")
        await raw.delete(store.keys.room(ROOM))
        assert places(await put(store, outgoing(ROOM, "new"), epoch="e2")) == [("e2", 1, False)]
        assert texts(await store.history(ROOM, "e2", 0, 9)) == [(1, "new")]

    async def test_a_history_without_its_room_is_not_shown(self, store: Store, raw: Any) -> None:
        await publish(store, ROOM, "a", "b")
        await raw.delete(store.keys.room(ROOM))
        state = await store.open_room(ROOM, newest=9, after=0, of="e00001")
        assert (state.epoch, state.seq, state.places) == ("", 0, [])
        assert places(await put(store, outgoing(ROOM, "new"), epoch="e2")) == [("e2", 1, False)]


class TestOpening:
    async def test_one_that_nobody_spoke_in_leaves_no_key(
        self, store: Store, raw: Any, prefix: str
    ) -> None:
        assert await store.open_room(ROOM, newest=3) == RoomState("", 0, 0, MIN_ID, [])
        assert await store.open_room(ROOM, after=0) == RoomState("", 0, 0, MIN_ID, [])
        of_all = store.keys.life(store.keys.partition(ROOM))
        assert [key async for key in raw.scan_iter(f"{prefix}*")] == [of_all]

    async def test_its_first_message_makes_it_for_its_time(self, store: Store, raw: Any) -> None:
        await put(store, outgoing(ROOM, "a"))
        assert 590 < await raw.ttl(store.keys.room(ROOM)) <= 600
        state = await store.open_room(ROOM, after=0)
        assert (state.epoch, state.seq, texts(state.places)) == ("e1", 1, [(1, "a")])

    @pytest.mark.parametrize(
        ("newest", "seqs"), [(0, []), (1, [4]), (3, [2, 3, 4]), (9, [1, 2, 3, 4])]
    )
    async def test_the_newest_come_oldest_first(
        self, store: Store, newest: int, seqs: list[int]
    ) -> None:
        await put(store, *(outgoing(ROOM, str(i)) for i in range(1, 5)))
        state = await store.open_room(ROOM, newest=newest)
        assert (state.epoch, state.seq) == ("e1", 4)
        assert texts(state.places) == [(seq, str(seq)) for seq in seqs]

    @pytest.mark.parametrize(
        ("newest", "after", "seqs"),
        [
            (0, 2, [3, 4]),
            (0, 4, []),
            (0, 99, []),
            (0, 2**53, []),
            (3, 3, [2, 3, 4]),
            (1, 2, [3, 4]),
        ],
    )
    async def test_all_after_a_seq_and_at_least_the_newest(
        self, store: Store, newest: int, after: int, seqs: list[int]
    ) -> None:
        await put(store, *(outgoing(ROOM, str(i)) for i in range(1, 5)))
        state = await store.open_room(ROOM, newest=newest, after=after, of="e1")
        assert [message.seq for message in state.places] == seqs

    async def test_after_a_seq_of_an_epoch_that_is_over_all_of_this_one(self, store: Store) -> None:
        await put(store, *(outgoing(ROOM, str(i)) for i in range(1, 5)))
        state = await store.open_room(ROOM, after=99, of="gone")
        assert [message.seq for message in state.places] == [1, 2, 3, 4]

    async def test_it_says_how_far_the_stream_had_come(self, store: Store, raw: Any) -> None:
        await publish(store, ROOM, "a", "b")
        [(last, _)] = await raw.xrevrange(store.keys.fanout(store.keys.partition(ROOM)), count=1)
        assert (await store.open_room(ROOM)).fanout_id == last.encode()

    async def test_what_is_no_message_is_left_out(self, store: Store, raw: Any) -> None:
        await publish(store, ROOM, "a")
        notice = pack(Noticed(None, "system", "hi", 1, 2))
        strange = {2: {"m": "\x00"}, 3: {"other": "x", "m": "y"}, 4: {"m": notice}}
        for seq, fields in strange.items():
            await raw.xadd(store.keys.history(ROOM), fields, id=f"{seq}-0")
            await raw.hset(store.keys.room(ROOM), "seq", str(seq))
        await publish(store, ROOM, "d")
        state = await store.open_room(ROOM, newest=9)
        assert texts(state.places) == [(1, "a"), (5, "d")]
        assert texts(await store.history(ROOM, "e00001", 0, 9)) == [(1, "a"), (5, "d")]


class TestRenewing:
    async def test_a_new_epoch_goes_on_counting_and_keeps_the_history(self, store: Store) -> None:
        await publish(store, ROOM, "a", "b")
        await store.renew_room(ROOM, "e00001", "e2")
        state = await store.open_room(ROOM, newest=9)
        assert (state.epoch, state.seq, state.base) == ("e2", 2, 2)
        assert texts(state.places) == [(1, "a"), (2, "b")]
        assert places(await put(store, outgoing(ROOM, "c"))) == [("e2", 3, False)]

    async def test_those_who_come_from_before_get_what_is_new_only(self, store: Store) -> None:
        await publish(store, ROOM, "a", "b")
        await store.renew_room(ROOM, "e00001", "e2")
        await publish(store, ROOM, "c", "d")
        state = await store.open_room(ROOM, after=1, of="e00001")
        assert texts(state.places) == [(3, "c"), (4, "d")]
        state = await store.open_room(ROOM, newest=3, after=1, of="e00001")
        assert texts(state.places) == [(2, "b"), (3, "c"), (4, "d")]

    async def test_only_the_first_of_many_shards_does_it(self, store: Store) -> None:
        await publish(store, ROOM, "a")
        await asyncio.gather(*(store.renew_room(ROOM, "e00001", f"n{i}") for i in range(5)))
        first = (await store.open_room(ROOM)).epoch
        await store.renew_room(ROOM, "e00001", "late")
        assert (await store.open_room(ROOM)).epoch == first != "e00001"

    async def test_a_room_that_is_gone_stays_gone(self, store: Store) -> None:
        await store.renew_room(ROOM, "e1", "e2")
        assert await store.peek_room(ROOM) is None


class TestPeeking:
    async def test_positions_come_in_the_order_they_were_asked_for(self, store: Store) -> None:
        names = [f"r{i}" for i in range(1_200)]
        for name in names[::100]:
            await publish(store, name, "a", f"of {name}")
        peeks = await store.peek_rooms([(name, 2) for name in names])
        for name, peek in zip(names, peeks, strict=True):
            if int(name[1:]) % 100:
                assert peek is None
            else:
                assert peek is not None
                assert isinstance(peek.found, Msg)
                assert (peek.epoch, peek.seq, peek.found.text) == ("e00001", 2, f"of {name}")

    async def test_a_seq_that_is_not_there_finds_nothing(self, store: Store) -> None:
        await publish(store, ROOM, "a")
        [peek] = await store.peek_rooms([(ROOM, 7)])
        assert peek is not None
        assert (peek.seq, peek.found) == (1, None)
        state = await store.open_room(ROOM)
        assert peek.fanout_id == state.fanout_id

    async def test_nobody_asked_about_nothing_is_not_asked(self, store: Store) -> None:
        assert await store.peek_rooms([]) == []

    async def test_peeking_makes_no_room(self, store: Store) -> None:
        await store.peek_rooms([(ROOM, 0)])
        assert await store.peek_room(ROOM) is None
        assert await store.peek_heads([ROOM, "another"]) == [None, None]
        assert await store.peek_heads([]) == []


class TestFailing:
    async def test_nobody_there_is_a_store_error(self) -> None:
        store = a_store("unix:///nowhere/to/be.sock", "x")
        for asking in (store.ping(), store.open_room(ROOM), store.peek_rooms([(ROOM, 1)])):
            with pytest.raises(StoreError):
                await asking
        await store.close()

    async def test_a_thousand_commands_at_once_share_few_connections(
        self, store: Store, raw: Any
    ) -> None:
        before = (await raw.info("clients"))["connected_clients"]
        states = await asyncio.gather(*(store.open_room(f"r{i}") for i in range(1_000)))
        assert len(states) == 1_000
        assert (await raw.info("clients"))["connected_clients"] <= before + LANES

    async def test_being_cancelled_while_waiting_its_turn_is_quiet(self, store: Store) -> None:
        tasks = [asyncio.create_task(store.open_room(f"r{i}")) for i in range(100)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        assert (await store.open_room(ROOM)).seq == 0
