"""Publishing, against a real Valkey: who is told what, and that it is so."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio as redis

from chat.bus.connect import RefusedError, ReusedError
from chat.bus.entries import Cleared, Deleted, Entry, Ruled, Said, pack
from chat.bus.store import Outgoing, Receipt, Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.bus.receipts import places, put, texts, whole
from tests.chat.rig import a_store, clock_ms, outgoing

ROOM = "live:42"
ROOMS = [f"r{i}" for i in range(40)]


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, history=5)
    yield store
    await store.close()


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
        receipts = await store.publish([outgoing(ROOM, "a")], "e1", 1_234)
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
            assert history == [f"{seq}-0" for seq in numbers][-store.retention.history :]
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
        got = await store.publish(asked, "e1", 1, 0)
        assert [type(one) for one in got] == [Receipt, RefusedError, Receipt, Receipt, RefusedError]
        assert why in str(got[1])
        assert await self.published(raw, store) == [(before, "e1-1"), (after, "e1-1")]

    async def test_a_partition_that_cannot_leaves_the_others_alone(
        self, store: Store, raw: Any
    ) -> None:
        await raw.set(store.keys.fanout(store.keys.partition(ROOM)), "not a stream")
        others = [room for room in ROOMS if store.keys.partition(room) == 1]
        assert store.keys.partition(ROOM) != 1
        got = await store.publish([outgoing(r, "x") for r in (ROOM, *others, ROOM)], "e", 1, 0)
        assert isinstance(got[0], RefusedError)
        assert "WRONGTYPE" in str(got[0])
        assert isinstance(got[-1], RefusedError)
        assert whole(got[1:-1])
        await raw.delete(store.keys.fanout(store.keys.partition(ROOM)))
        assert places(await put(store, outgoing(ROOM, "y"))) == [("e1", 1, False)]

    async def test_an_entry_that_could_not_be_sent_costs_no_number(
        self, store: Store, raw: Any
    ) -> None:
        await put(store, outgoing(ROOM, "a"))
        fanout = store.keys.fanout(store.keys.partition(ROOM))
        await raw.delete(fanout)
        await raw.xadd(fanout, {"m": "x"}, id=f"{2**64 - 1}-{2**64 - 1}")
        got = await store.publish([outgoing(ROOM, "b", "id")] * 2, "e", 1, 0)
        assert [type(one) for one in got] == [RefusedError] * 2
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a")]
        await raw.delete(fanout)
        assert places(await put(store, outgoing(ROOM, "b", "id"))) == [("e1", 2, False)]

    async def test_what_was_refused_may_be_sent_again(self, store: Store, raw: Any) -> None:
        await spoil_history(raw, store)
        [refused] = await store.publish([outgoing(ROOM, "a", "id")], "e1", 1, 0)
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
        got = await store.publish([outgoing(room, "b", "id") for room in rooms], "e2", 1, 0)
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
            got = await store.publish(asked, "e1", 1, 0)
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
        again = await store.publish([outgoing(ROOM, "a", "id-1")], "e9", 9_999, 0)
        assert again == [Receipt("e1", 1, 1_000, True)]
        assert len(await store.history(ROOM, "e1", 0, 9)) == 2

    async def test_also_within_one_batch(self, store: Store) -> None:
        got = await put(store, *(outgoing(ROOM, text, "same") for text in "aaa"))
        assert places(got) == [("e1", 1, False), ("e1", 1, True), ("e1", 1, True)]
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a")]

    async def test_another_message_is_refused_and_the_first_stays_known(self, store: Store) -> None:
        asked = [outgoing(ROOM, text, "same") for text in "abaca"]
        got = await store.publish(asked, "e1", 1, 0)
        kinds = [Receipt, ReusedError, Receipt, ReusedError, Receipt]
        assert [type(one) for one in got] == kinds
        assert texts(await store.history(ROOM, "e1", 0, 9)) == [(1, "a")]

    async def test_an_id_stands_for_what_was_sent_whatever_was_made_of_it(
        self, store: Store
    ) -> None:
        sent, changed, other = (outgoing(ROOM, text) for text in ("a", "***", "b"))
        first = Outgoing(ROOM, "u", changed.entry, "1", asked=sent.entry)
        again = Outgoing(ROOM, "u", sent.entry, "1")  # nobody could be asked this time
        another = Outgoing(ROOM, "u", changed.entry, "1", asked=other.entry)
        got = await store.publish([first, again, another], "e1", 1_000, 0)
        assert places([one for one in got[:2] if isinstance(one, Receipt)]) == [
            ("e1", 1, False),
            ("e1", 1, True),
        ]
        assert isinstance(got[2], ReusedError)
        assert texts(await store.history(ROOM, "e1", 0, 10)) == [(1, "***")]

    async def test_ids_are_one_users_in_one_room(self, store: Store) -> None:
        got = await put(store, outgoing(ROOM, "a", "id"), outgoing(ROOM, "b", "id", uid="other"))
        got += await put(store, outgoing("elsewhere", "c", "id"))
        assert not any(one.duplicate for one in got)


class TestDeadline:
    async def test_after_it_nothing_is_done(self, store: Store, raw: Any, prefix: str) -> None:
        server = await store.servers.find(ROOM)
        server.told_time(await clock_ms(raw) - 60_001)  # it has gone forth since
        receipts = await store.publish([outgoing(ROOM, "late", "id")], "e1", 1, 60.0)
        assert receipts == [None]
        assert server.clock_ms is not None
        assert abs(server.time_ms(asyncio.get_running_loop().time()) - await clock_ms(raw)) < 60_000
        assert [key async for key in raw.scan_iter(f"{prefix}*")] == []

    async def test_before_it_all_is_done(self, store: Store) -> None:
        assert places(await put(store, outgoing(ROOM, "a"), patience_s=60.0))[0][1] == 1
