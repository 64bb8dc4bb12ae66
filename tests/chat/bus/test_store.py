"""The scripts and what Redis makes of them, against a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio as redis

from chat.bus.connect import RefusedError, ReusedError, StoreError
from chat.bus.entries import Cleared, Deleted, Entry, Noticed, Ruled, Said, pack
from chat.bus.store import LANES, MIN_ID, Outgoing, Receipt, RoomState, Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg, Sequenced
from tests.chat.rig import a_store, outgoing, publish

ROOM = "live:42"
ROOMS = [f"r{i}" for i in range(40)]


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, history=5)
    yield store
    await store.close()


async def put(
    store: Store, *batch: Outgoing, epoch: str = "e1", deadline: int = 0
) -> list[Receipt]:
    _, receipts = await store.publish(batch, epoch, 1_000, deadline)
    return whole(receipts)


def whole(outcomes: list[Receipt | StoreError | None]) -> list[Receipt]:
    """Receipts for all of them."""
    receipts = [one for one in outcomes if isinstance(one, Receipt)]
    assert receipts == outcomes
    return receipts


def places(receipts: list[Receipt]) -> list[tuple[str, int, bool]]:
    return [(one.epoch, one.seq, one.duplicate) for one in receipts]


def texts(places: list[Sequenced]) -> list[tuple[int, str]]:
    messages = [place for place in places if isinstance(place, Msg)]
    assert messages == places
    return [(message.seq, message.text) for message in messages]


class TestPublishing:
    async def test_a_rooms_messages_count_1_2_3(self, store: Store) -> None:
        assert places(await put(store, outgoing(ROOM, "a"), outgoing(ROOM, "b"))) == [
            ("e1", 1, False),
            ("e1", 2, False),
        ]
        assert places(await put(store, outgoing(ROOM, "c"), epoch="e2")) == [("e1", 3, False)]

    async def test_rooms_of_one_partition_count_apart(self, store: Store) -> None:
        names = [f"r{i}" for i in range(40)]
        here = [name for name in names if store.keys.partition(name) == 0][:2]
        first, second = here
        got = await put(store, *(outgoing(name, "x") for name in (first, second, first, second)))
        assert [one.seq for one in got] == [1, 1, 2, 2]

    async def test_it_reaches_the_stream_and_the_history_in_order(
        self, store: Store, raw: Any
    ) -> None:
        await put(store, outgoing(ROOM, "a"), outgoing(ROOM, "b"))
        stream = await raw.xrange(store.keys.fanout(store.keys.partition(ROOM)))
        assert [(fields["r"], fields["p"]) for _, fields in stream] == [
            (ROOM, "e1-1"),
            (ROOM, "e1-2"),
        ]
        assert texts(await store.history(ROOM, "e1", 0, 10)) == [(1, "a"), (2, "b")]

    async def test_every_kind_of_entry_takes_a_place(self, store: Store) -> None:
        entries: list[Entry] = [
            Said("u7", "阿花", "hi", 1, "top", 25, 5),
            *(Deleted(1, 6), Cleared("u7", 7), Cleared(None, 8), Ruled({"slow_s": 2.5}, 9)),
        ]
        await put(store, *(Outgoing(ROOM, "u7", pack(entry)) for entry in entries))
        places = [entry.at(ROOM, "e1", seq) for seq, entry in enumerate(entries, 1)]
        assert await store.history(ROOM, "e1", 0, 9) == places
        assert (await store.open_room(ROOM, after=1, of="e1")).places == places[1:]
        for seq, place in enumerate(places, 1):
            [peek] = await store.peek_rooms([(ROOM, seq)])
            assert peek is not None
            assert peek.found == place

    async def test_the_receipt_tells_when(self, store: Store) -> None:
        now, receipts = await store.publish([outgoing(ROOM, "a")], "e1", 1_234, 0)
        assert abs(now - await store.clock_ms()) < 60_000
        assert receipts == [Receipt("e1", 1, 1_234, False)]

    async def test_history_is_capped_exactly(self, store: Store, raw: Any) -> None:
        for i in range(1, 12):
            await put(store, outgoing(ROOM, str(i)))
            assert await raw.xlen(store.keys.history(ROOM)) == min(i, 5)
        assert [seq for seq, _ in texts(await store.history(ROOM, "e1", 0, 99))] == [
            7,
            8,
            9,
            10,
            11,
        ]

    async def test_a_batch_larger_than_the_history_is_numbered_and_capped(
        self, store: Store
    ) -> None:
        got = await put(store, *(outgoing(ROOM, str(i)) for i in range(1, 21)))
        assert [one.seq for one in got] == list(range(1, 21))
        assert [seq for seq, _ in texts(await store.history(ROOM, "e1", 0, 99))] == [
            16,
            17,
            18,
            19,
            20,
        ]

    async def test_rooms_are_kept_for_their_time(self, store: Store, raw: Any) -> None:
        await put(store, outgoing(ROOM, "a", "id"))
        assert 590 < await raw.ttl(store.keys.room(ROOM)) <= 600
        assert 590 < await raw.ttl(store.keys.history(ROOM)) <= 600
        assert 290 < await raw.ttl(store.keys.dup(ROOM, "u", "id")) <= 300

    @pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
    async def test_an_entry_of_any_size_comes_back_as_it_was(self, store: Store, size: int) -> None:
        await put(store, outgoing(ROOM, "幕" * size))
        [message] = await store.history(ROOM, "e1", 0, 1)
        assert isinstance(message, Msg)
        assert message.text == "幕" * size


class TestPublishingInManyRooms:
    async def test_receipts_come_in_the_messages_order(self, store: Store) -> None:
        await put(store, *(outgoing(room, "x") for room in ROOMS[::2]))
        got = await put(store, *(outgoing(room, "y") for room in reversed(ROOMS)))
        assert [one.seq for one in got] == [1, 2] * 20

    async def test_a_script_that_redis_forgot_is_loaded_again(self, store: Store, raw: Any) -> None:
        await put(store, outgoing(ROOM, "a"))
        await raw.script_flush()
        got = await put(store, *(outgoing(room, "x") for room in [ROOM, *ROOMS]))
        assert [one.seq for one in got] == [2] + [1] * 40


async def spoil_history(raw: Any, store: Store) -> None:
    await raw.hset(store.keys.room(ROOM), mapping={"epoch": "e1", "seq": 0})
    await raw.set(store.keys.history(ROOM), "not a stream")


async def spoil_room(raw: Any, store: Store) -> None:
    await raw.set(store.keys.room(ROOM), "not a hash")


async def spoil_seq(raw: Any, store: Store) -> None:
    await raw.hset(store.keys.room(ROOM), mapping={"epoch": "e1", "seq": "many"})


async def spoil_message_id(raw: Any, store: Store) -> None:
    await raw.lpush(store.keys.dup(ROOM, "u", "id"), "not a string")


async def run_ahead(raw: Any, store: Store) -> None:
    await raw.hset(store.keys.room(ROOM), mapping={"epoch": "e1", "seq": 1})
    await raw.xadd(store.keys.history(ROOM), {"m": "x"}, id="9-0")
    await raw.xdel(store.keys.history(ROOM), "9-0")


class TestRefusing:
    """Something fails half way: a message is either published or has left nothing."""

    async def published(self, raw: Any, store: Store) -> list[tuple[str, str]]:
        """What viewers see, as room and place; it stands in the histories, too."""
        seen = []
        for partition in range(store.keys.partitions):
            stream = store.keys.fanout(partition)
            if await raw.type(stream) == "stream":
                entries = await raw.xrange(stream)
                seen += [(fields["r"], fields["p"]) for _, fields in entries]
        for room in {room for room, _ in seen}:
            history = [entry_id for entry_id, _ in await raw.xrange(store.keys.history(room))]
            numbers = [place.partition("-")[2] for name, place in seen if name == room]
            assert history == [f"{seq}-0" for seq in numbers][-store._history :]
        return seen

    @pytest.mark.parametrize(
        ("spoil", "why"),
        [
            (spoil_history, "WRONGTYPE"),
            (spoil_room, "WRONGTYPE"),
            (spoil_seq, "arithmetic"),
            (spoil_message_id, "WRONGTYPE"),
            (run_ahead, "equal or smaller"),
        ],
    )
    async def test_a_room_that_cannot_take_it_leaves_its_neighbours_alone(
        self, store: Store, raw: Any, spoil: Any, why: str
    ) -> None:
        here = store.keys.partition(ROOM)
        before, after = [room for room in ROOMS if store.keys.partition(room) == here][:2]
        await spoil(raw, store)
        asked = [outgoing(r, r, "id") for r in (before, ROOM, after, before, ROOM)]
        _, got = await store.publish(asked, "e1", 1, 0)
        assert [type(one) for one in got] == [Receipt, RefusedError, Receipt, Receipt, RefusedError]
        assert why in str(got[1])
        assert await self.published(raw, store) == [(before, "e1-1"), (after, "e1-1")]

    async def test_a_partition_that_cannot_leaves_the_others_alone(
        self, store: Store, raw: Any
    ) -> None:
        await raw.set(store.keys.fanout(store.keys.partition(ROOM)), "not a stream")
        others = [room for room in ROOMS if store.keys.partition(room) == 1]
        assert store.keys.partition(ROOM) != 1
        _, got = await store.publish([outgoing(r, "x") for r in (ROOM, *others, ROOM)], "e", 1, 0)
        assert isinstance(got[0], RefusedError)
        assert "WRONGTYPE" in str(got[0])
        assert isinstance(got[-1], RefusedError)
        assert whole(got[1:-1])
        await raw.delete(store.keys.fanout(store.keys.partition(ROOM)))
        assert places(await put(store, outgoing(ROOM, "y"))) == [("e1", 1, False)]

    async def test_a_number_whose_entry_could_not_be_sent_is_not_given_again(
        self, store: Store, raw: Any
    ) -> None:
        await put(store, outgoing(ROOM, "a"))
        fanout = store.keys.fanout(store.keys.partition(ROOM))
        await raw.delete(fanout)
        await raw.xadd(fanout, {"m": "x"}, id=f"{2**64 - 1}-{2**64 - 1}")
        _, got = await store.publish([outgoing(ROOM, "b", "id")] * 2, "e", 1, 0)
        assert [type(one) for one in got] == [RefusedError] * 2
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a")]
        await raw.delete(fanout)
        assert places(await put(store, outgoing(ROOM, "b", "id"))) == [("e1", 4, False)]

    async def test_what_was_refused_may_be_sent_again(self, store: Store, raw: Any) -> None:
        await spoil_history(raw, store)
        _, [refused] = await store.publish([outgoing(ROOM, "a", "id")], "e1", 1, 0)
        assert isinstance(refused, RefusedError)
        await raw.delete(store.keys.history(ROOM))
        assert places(await put(store, outgoing(ROOM, "a", "id"))) == [("e1", 1, False)]

    async def test_without_memory_rooms_old_and_new_are_refused(
        self, own_valkey: EmbeddedEngine
    ) -> None:
        store = a_store(own_valkey.url, "x", partitions=1)
        raw: Any = redis.from_url(
            own_valkey.url, protocol=2, decode_responses=True, encoding_errors="replace"
        )
        await put(store, outgoing("old", "a"))
        await raw.config_set("maxmemory", 1)
        rooms = ["new", "old", "newer", "old"]
        _, got = await store.publish([outgoing(room, "b", "id") for room in rooms], "e2", 1, 0)
        assert [type(one) for one in got] == [RefusedError] * 4
        assert all("maxmemory" in str(one) for one in got)
        assert await self.published(raw, store) == [("old", "e1-1")]
        await raw.config_set("maxmemory", 0)
        assert len(await put(store, *(outgoing(room, "b", "id") for room in rooms))) == 4
        await store.close()
        await raw.aclose()

    async def test_memory_that_ends_in_the_middle_makes_no_answer_a_lie(
        self, own_valkey: EmbeddedEngine
    ) -> None:
        store = a_store(own_valkey.url, "x", partitions=8)
        raw: Any = redis.from_url(
            own_valkey.url, protocol=2, decode_responses=True, encoding_errors="replace"
        )
        await raw.config_set("maxmemory", (await raw.info("memory"))["used_memory"] + 1_000_000)
        told: list[tuple[str, str]] = []
        refused = 0
        while not refused:
            asked = [outgoing(room, "x" * 2_000, f"{len(told)}") for room in ROOMS]
            _, got = await store.publish(asked, "e1", 1, 0)
            for message, one in zip(asked, got, strict=True):
                if isinstance(one, Receipt):
                    told.append((message.room, f"{one.epoch}-{one.seq}"))
                else:
                    refused += 1
        assert told
        assert sorted(await self.published(raw, store)) == sorted(told)
        await store.close()
        await raw.aclose()


class TestDuplicates:
    async def test_the_same_id_finds_the_first(self, store: Store) -> None:
        await put(store, outgoing(ROOM, "a", "id-1"), outgoing(ROOM, "b", "id-2"))
        _, again = await store.publish([outgoing(ROOM, "a", "id-1")], "e9", 9_999, 0)
        assert again == [Receipt("e1", 1, 1_000, True)]
        assert len(await store.history(ROOM, "e1", 0, 9)) == 2

    async def test_also_within_one_batch(self, store: Store) -> None:
        got = await put(store, *(outgoing(ROOM, text, "same") for text in "aaa"))
        assert places(got) == [("e1", 1, False), ("e1", 1, True), ("e1", 1, True)]
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a")]

    async def test_another_message_is_refused_and_the_first_stays_known(self, store: Store) -> None:
        asked = [outgoing(ROOM, text, "same") for text in "abaca"]
        _, got = await store.publish(asked, "e1", 1, 0)
        kinds = [Receipt, ReusedError, Receipt, ReusedError, Receipt]
        assert [type(one) for one in got] == kinds
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a")]

    async def test_ids_are_one_users_in_one_room(self, store: Store) -> None:
        got = await put(store, outgoing(ROOM, "a", "id"), outgoing(ROOM, "b", "id", uid="other"))
        got += await put(store, outgoing("elsewhere", "c", "id"))
        assert not any(one.duplicate for one in got)


class TestDeadline:
    async def test_after_it_nothing_is_done(self, store: Store, raw: Any, prefix: str) -> None:
        now = await store.clock_ms()
        answered, receipts = await store.publish([outgoing(ROOM, "late", "id")], "e1", 1, now - 1)
        assert receipts == [None]
        assert answered >= now
        assert [key async for key in raw.scan_iter(f"{prefix}*")] == []

    async def test_before_it_all_is_done(self, store: Store) -> None:
        now = await store.clock_ms()
        assert places(await put(store, outgoing(ROOM, "a"), deadline=now + 60_000))[0][1] == 1


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
        assert [key async for key in raw.scan_iter(f"{prefix}*")] == []

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
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a"), (5, "d")]


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
