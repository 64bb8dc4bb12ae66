"""The counter: each request gets the answers to its own messages, and only those."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from chat.api.models import MessageIn
from chat.api.publishing import BATCH, NotPublished, Publishing
from chat.bus.publisher import Unpublished
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.desk import texts as said_in
from tests.chat.rig import a_store, new_prefix


@pytest.fixture
async def store(valkey: EmbeddedEngine) -> AsyncIterator[Store]:
    store = a_store(valkey.url, new_prefix(), history=3 * BATCH)
    yield store
    await store.close()


def said(*texts: str, uid: str = "u") -> list[MessageIn]:
    return [MessageIn(text, uid=uid) for text in texts]


async def texts(store: Store, room: str) -> list[str]:
    head = await store.peek_room(room)
    assert head is not None
    return said_in(await store.history(room, head[0], 0, 3 * BATCH))


class TestPublish:
    async def test_receipts_come_in_the_messages_order(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        receipts = await post.publish(["r"], said("a", "b", "c"))
        assert [receipt.seq for receipt in receipts] == [1, 2, 3]
        assert await texts(store, "r") == ["a", "b", "c"]
        await post.close()

    async def test_many_rooms_get_the_same_and_count_for_themselves(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        rooms = [f"r{i}" for i in range(BATCH // 2)]
        receipts = await post.publish(rooms, said("a", "b", "c"))
        assert [receipt.seq for receipt in receipts] == [1, 2, 3] * len(rooms)
        assert await texts(store, rooms[0]) == await texts(store, rooms[-1]) == ["a", "b", "c"]
        await post.close()

    async def test_nothing_to_publish_is_answered_at_once(self, store: Store) -> None:
        assert await Publishing(store, 5.0).publish(["r"], []) == []

    async def test_more_than_a_batch_keeps_its_order(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        numbers = [f"{i}" for i in range(2 * BATCH + 7)]
        receipts = await post.publish(["r"], said(*numbers))
        assert [receipt.seq for receipt in receipts] == list(range(1, len(numbers) + 1))
        assert await texts(store, "r") == numbers
        await post.close()

    async def test_requests_at_once_get_their_own_receipts(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        asked = [post.publish([f"r{i % 3}"], said(*"xyz", uid=f"u{i}")) for i in range(30)]
        answers = await asyncio.gather(*asked)
        for i in range(3):
            head = await store.peek_room(f"r{i}")
            assert head is not None
            history = await store.history(f"r{i}", head[0], 0, 100)
            uids = {m.seq: m.uid for m in history if isinstance(m, Msg)}
            for n in range(i, 30, 3):
                assert [uids[receipt.seq] for receipt in answers[n]] == [f"u{n}"] * 3
        await post.close()

    async def test_a_duplicate_has_the_seq_of_the_first(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        message = MessageIn("a", id="1")
        [first] = await post.publish(["r"], [message])
        await post.publish(["r"], said("between"))
        [again] = await post.publish(["r"], [message])
        assert (first.duplicate, again.duplicate) == (False, True)
        assert (again.epoch, again.seq) == (first.epoch, first.seq)
        await post.close()

    async def test_an_id_of_another_message_stops_no_other(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        messages = [MessageIn(f"{i}", id="1" if i < 2 else None) for i in range(BATCH + 2)]
        with pytest.raises(NotPublished) as caught:
            await post.publish(["r"], messages)
        assert (caught.value.status, caught.value.accepted) == (409, BATCH + 1)
        assert len(await texts(store, "r")) == BATCH + 1
        outcomes = await post.publish_each(["r"], messages[:2])
        assert outcomes[1] == Unpublished(None, "id_reused")
        await post.close()

    async def test_a_request_that_is_given_up_harms_no_other(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        given_up = asyncio.create_task(post.publish(["r"], said("a")))
        stays = asyncio.create_task(post.publish(["r"], said("b")))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(NotPublished, match="about to end"):
            await given_up
        [receipt] = await stays
        assert receipt.seq == 2
        assert await texts(store, "r") == ["a", "b"]
        await post.close()

    async def test_closing_waits_for_what_is_under_way(self, store: Store) -> None:
        post = Publishing(store, 5.0)
        asked = asyncio.create_task(post.publish(["r"], said("a")))
        await asyncio.sleep(0)
        await post.close()
        assert await texts(store, "r") == ["a"]
        assert len(await asked) == 1


class TestRedisIsAway:
    async def test_it_says_when_to_come_again_and_what_was_published(
        self, own_valkey: EmbeddedEngine
    ) -> None:
        store = a_store(own_valkey.url, new_prefix(), timeout_s=0.5)
        post = Publishing(store, 0.5)
        await post.publish(["r"], said("before"))
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            with pytest.raises(NotPublished) as caught:
                await post.publish(["r"], said("lost", "lost"))
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
        assert caught.value.accepted == 0
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 0
        assert (caught.value.status, caught.value.code) == (503, "unavailable")
        await post.close()
        await store.close()
