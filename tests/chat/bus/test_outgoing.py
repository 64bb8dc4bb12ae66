"""The limits of rooms in the publish script, on a real Valkey: what is refused has left nothing.

Time is Redis' own. A test that needs some to have passed sets back what was noted.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from chat.bus.connect import LimitedError, RefusedError, ReusedError, StoreError
from chat.bus.entries import Cleared, pack
from chat.bus.outgoing import Outgoing, Receipt, RoomLimits
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, clock_ms, new_prefix, outgoing

ROOM = "live:42"
SLOW = RoomLimits(slow_s=60)
UNLIKE = RoomLimits(no_repeats_s=60)
Outcomes = list[Receipt | StoreError | None]


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


def said(
    limits: RoomLimits | None,
    text: str,
    uid: str = "u",
    message_id: str | None = None,
    room: str = ROOM,
) -> Outgoing:
    return structs.replace(outgoing(room, text, message_id, uid), limits=limits)


async def say(store: Store, *messages: Outgoing) -> Outcomes:
    return await store.publish(messages, "e1", 1_000)


def told(outcomes: Outcomes) -> list[Any]:
    """A seq where it was published, the limit's name where that refused it."""
    found: list[Any] = []
    for one in outcomes:
        assert isinstance(one, Receipt | LimitedError), one
        found.append(one.seq if isinstance(one, Receipt) else one.limit)
    return found


def wait_s(outcomes: Outcomes) -> float:
    [refused] = outcomes
    assert isinstance(refused, LimitedError)
    return refused.wait_s


Past = Callable[..., Awaitable[None]]


@pytest.fixture
def past(store: Store, raw: Any) -> Past:
    """Sets back by some seconds all that is noted of a user in the room, and of the room."""

    async def set_back(seconds: float, uid: str = "u") -> None:
        ms = int(seconds * 1000)
        key = store.keys.spoken(ROOM, uid)
        if known := await raw.get(key):
            last, *texts = known.split()
            was = [(digest, int(at) - ms) for digest, at in (text.split(":") for text in texts)]
            before = str(max(0, int(last) - ms))
            await raw.set(key, " ".join([before, *(f"{text}:{at}" for text, at in was)]), ex=600)
        room = store.keys.room(ROOM)
        if full_at := await raw.hget(room, "full_at"):
            await raw.hset(room, "full_at", float(full_at) - ms)

    return set_back


class TestSlowMode:
    async def test_a_user_waits_and_others_do_not(self, store: Store) -> None:
        got = await say(
            store,
            *(said(SLOW, "a"), said(SLOW, "b"), said(SLOW, "c", "other")),
            *(said(SLOW, "d", room="elsewhere"), said(None, "e"), said(RoomLimits(), "f")),
        )
        assert told(got) == [1, "slow_mode", 2, 1, 3, 4]
        assert 0 < wait_s(got[1:2]) <= 60

    async def test_it_counts_from_the_first_message_after_it_is_set(self, store: Store) -> None:
        got = await say(store, said(None, "before"), said(UNLIKE, "then"), said(SLOW, "after"))
        assert told(got) == [1, 2, 3]
        assert told(await say(store, said(SLOW, "again"))) == ["slow_mode"]

    async def test_the_newest_setting_holds_for_what_was_said_before(
        self, store: Store, past: Past
    ) -> None:
        await say(store, said(SLOW, "a"))
        await past(20)
        assert 30 < wait_s(await say(store, said(SLOW, "b"))) <= 40
        assert 3590 < wait_s(await say(store, said(RoomLimits(slow_s=3620), "b"))) <= 3600
        assert told(await say(store, said(RoomLimits(slow_s=15), "b"))) == [2]

    async def test_it_ends(self, store: Store, past: Past) -> None:
        await say(store, said(SLOW, "a"))
        await past(60)
        assert told(await say(store, said(SLOW, "b"), said(SLOW, "c"))) == [2, "slow_mode"]

    async def test_what_is_known_is_forgotten_when_it_does_not_matter_any_more(
        self, store: Store, raw: Any
    ) -> None:
        await say(store, said(SLOW, "a"), said(RoomLimits(30, 90), "b", "v"))
        assert 0 < await raw.pttl(store.keys.spoken(ROOM, "u")) <= 60_000
        assert 60_000 < await raw.pttl(store.keys.spoken(ROOM, "v")) <= 90_000


class TestRepeats:
    async def test_the_same_is_not_said_again(self, store: Store, past: Past) -> None:
        texts = ["幕 abc", "other", "幕  ABC", "幕ＡＢＣ", "幕 abd"]
        got = await say(store, *(said(UNLIKE, text) for text in texts))
        assert told(got) == [1, 2, "repeated", "repeated", 3]
        await past(20)
        assert 30 < wait_s(await say(store, said(UNLIKE, "幕 abc"))) <= 40
        assert told(await say(store, said(RoomLimits(no_repeats_s=20), "幕 abc"))) == [4]

    async def test_it_is_each_users_own_and_each_rooms(self, store: Store) -> None:
        got = await say(
            store,
            *(said(UNLIKE, "a"), said(UNLIKE, "a", "other"), said(UNLIKE, "a", room="elsewhere")),
            *(said(None, "a"), said(UNLIKE, "a")),
        )
        assert told(got) == [1, 2, 1, 3, "repeated"]

    async def test_what_one_may_push_into_memory_is_bounded(self, store: Store, raw: Any) -> None:
        got = await say(store, *(said(UNLIKE, f"text {i}") for i in range(200)))
        assert told(got) == list(range(1, 201))
        assert await raw.strlen(store.keys.spoken(ROOM, "u")) < 600
        again = await say(store, *(said(UNLIKE, f"text {i}") for i in range(184, 200)))
        assert told(again) == ["repeated"] * 16

    async def test_what_is_no_message_repeats_nothing(self, store: Store) -> None:
        cleared = Outgoing(ROOM, "u", pack(Cleared("u", 1)), limits=UNLIKE)
        assert told(await say(store, cleared, cleared)) == [1, 2]


class TestRate:
    async def test_a_room_takes_a_burst_and_then_so_many_a_second(
        self, store: Store, past: Past
    ) -> None:
        limits = RoomLimits(messages_per_s=5)
        got = await say(store, *(said(limits, str(i), f"u{i}") for i in range(20)))
        assert told(got) == [1, 2, 3, 4, 5, *["room_busy"] * 15]
        assert 0 < wait_s(got[-1:]) <= 0.2
        await past(0.2)
        got = await say(store, said(limits, "x"), said(limits, "y", "v", room="elsewhere"))
        assert told(got) == [6, 1]
        await past(3600)
        got = await say(store, *(said(limits, str(i), f"u{i}") for i in range(20)))
        assert told(got)[:5] == [7, 8, 9, 10, 11]
        assert told(got)[-1] == "room_busy"

    @given(st.sampled_from([1, 3, 7, 40]), st.integers(0, 20))
    @settings(max_examples=15, deadline=None)
    def test_a_burst_is_exactly_as_long_as_it_was_told(
        self, valkey: EmbeddedEngine, per_s: int, more: int
    ) -> None:
        async def check() -> None:
            store = a_store(valkey.url, new_prefix())
            limits = RoomLimits(messages_per_s=per_s)
            got = await say(store, *(said(limits, "x") for _ in range(per_s + more)))
            assert told(got) == [*range(1, per_s + 1), *["room_busy"] * more]
            await store.close()

        asyncio.run(check())

    async def test_the_exempt_are_not_counted(self, store: Store) -> None:
        limits = RoomLimits(messages_per_s=1)
        got = await say(store, said(None, "a"), said(SLOW, "b"), said(limits, "c"), said(None, "d"))
        assert told(got) == [1, 2, 3, 4]

    async def test_a_higher_rate_holds_at_once(self, store: Store) -> None:
        few, many = RoomLimits(messages_per_s=1), RoomLimits(messages_per_s=100)
        got = await say(store, said(few, "a"), said(few, "b"), said(many, "c"))
        assert told(got) == [1, "room_busy", "room_busy"]
        assert 0.5 < wait_s(got[1:2]) <= 1
        assert wait_s(got[2:]) <= 0.01


class TestRefusing:
    """A message a limit refuses spends nothing, and what else is refused spends no limit."""

    async def test_it_leaves_nothing_at_all(self, store: Store, raw: Any, past: Past) -> None:
        limits = RoomLimits(60, 60, 1)
        await say(store, said(limits, "a"))
        await past(30)

        async def everything() -> dict[str, Any]:
            keys = sorted([key async for key in raw.scan_iter(f"{store.keys.broadcast[:-9]}*")])
            return {key: await raw.dump(key) for key in keys}

        before = await everything()
        assert told(await say(store, said(limits, "b", message_id="i"))) == ["slow_mode"]
        assert told(await say(store, said(UNLIKE, "a", message_id="i"))) == ["repeated"]
        key = store.keys.room(ROOM)
        await raw.hset(key, "full_at", await clock_ms(raw) + 1_000)
        busy = await everything()
        assert told(await say(store, said(limits, "c", "v", message_id="i"))) == ["room_busy"]
        after = await everything()
        assert after == busy
        assert {**after, key: None} == {**before, key: None}

    async def test_a_room_that_refuses_its_first_message_is_not_made(
        self, store: Store, raw: Any
    ) -> None:
        await raw.set(store.keys.spoken(ROOM, "u"), await clock_ms(raw))
        assert told(await say(store, said(SLOW, "a"))) == ["slow_mode"]
        assert await store.peek_room(ROOM) is None

    async def test_a_batch_is_judged_one_by_one(self, store: Store) -> None:
        limits = RoomLimits(60, 60, 2)
        got = await say(
            store,
            *(said(limits, "a", "u"), said(limits, "b", "u"), said(limits, "a", "v")),
            *(said(limits, "c", "w"), said(None, "d", "u")),
        )
        assert told(got) == [1, "slow_mode", 2, "room_busy", 3]

    async def test_messages_with_other_limits_share_a_call(self, store: Store) -> None:
        rate, slow, unlike = RoomLimits(messages_per_s=1), RoomLimits(30), RoomLimits(0, 30)
        above = RoomLimits(messages_per_s=1, priority=6)
        got = await say(
            store,
            *(said(rate, "a", "u"), said(slow, "b", "v"), said(rate, "c", "w")),
            *(said(unlike, "d", "x"), said(slow, "e", "v"), said(None, "f", "v")),
            *(said(unlike, "d", "x"), said(above, "g", "u"), said(unlike, "h", "x")),
            *(said(rate, "i", "u", room="other"), said(slow, "b", "v", room="other")),
        )
        assert told(got) == [
            *(1, 2, "room_busy", 3, "slow_mode", 4, "repeated", 5, 6),
            *(1, 2),
        ]

    async def test_a_duplicate_is_answered_as_ever(self, store: Store) -> None:
        limits = RoomLimits(60, 60, 1)
        first = said(limits, "a", message_id="i")
        other = said(limits, "b", message_id="i")
        got = await say(store, first, first, other, first)
        assert [type(one) for one in got] == [Receipt, Receipt, ReusedError, Receipt]
        assert told([got[0], got[1], got[3]]) == [1, 1, 1]

    async def test_what_was_refused_may_be_sent_again(self, store: Store, past: Past) -> None:
        await say(store, said(SLOW, "a"))
        again = said(SLOW, "b", message_id="i")
        assert told(await say(store, again)) == ["slow_mode"]
        await past(60)
        assert told(await say(store, again, again)) == [2, 2]

    async def test_what_could_not_be_sent_counts_for_no_limit(self, store: Store, raw: Any) -> None:
        fanout = store.keys.fanout(store.keys.partition(ROOM))
        limits = RoomLimits(60, 60, 1)
        await say(store, said(None, "before"))
        for spoiled in (fanout, store.keys.history(ROOM)):
            await raw.delete(fanout)
            await raw.set(spoiled, "not a stream")
            [refused] = await say(store, said(limits, "a"))
            assert type(refused) is RefusedError
        await raw.delete(store.keys.history(ROOM))
        assert told(await say(store, said(limits, "a"))) == [2]

    async def test_what_is_known_of_one_cannot_be_read_and_others_speak(
        self, store: Store, raw: Any
    ) -> None:
        await raw.lpush(store.keys.spoken(ROOM, "u"), "not a string")
        got = await say(store, said(SLOW, "a", "v"), said(SLOW, "b"), said(SLOW, "c", "w"))
        assert type(got[1]) is RefusedError
        assert told([got[0], got[2]]) == [1, 2]

    async def test_a_clock_that_was_set_back_locks_nobody_out(
        self, store: Store, past: Past
    ) -> None:
        limits = RoomLimits(60, 60, 1)
        await say(store, said(limits, "a"))
        await past(-3600)
        assert told(await say(store, said(limits, "a"))) == [2]


SAYINGS = st.lists(
    st.tuples(st.sampled_from("uv"), st.sampled_from(["a", "A", "b", "c"]), st.booleans()),
    max_size=25,
)


class TestModel:
    """In one batch no time passes, so what is to be refused can be told beforehand."""

    def expected(self, limits: RoomLimits, sayings: list[tuple[str, str, bool]]) -> list[int | str]:
        texts: dict[str, set[str]] = defaultdict(set)
        spoken: set[str] = set()
        taken, seq = 0, 0
        found: list[int | str] = []
        for uid, text, exempt in sayings:
            if not exempt:
                if limits.slow_s and uid in spoken:
                    found.append("slow_mode")
                    continue
                if limits.no_repeats_s and text.lower() in texts[uid]:
                    found.append("repeated")
                    continue
                if limits.messages_per_s and taken == limits.messages_per_s:
                    found.append("room_busy")
                    continue
                spoken.add(uid)
                texts[uid].add(text.lower())
                taken += 1
            seq += 1
            found.append(seq)
        return found

    @given(SAYINGS, st.sampled_from([0, 9]), st.sampled_from([0, 9]), st.integers(0, 4))
    @settings(max_examples=60, deadline=None)
    def test_whatever_is_said_is_judged_like_this(
        self,
        valkey: EmbeddedEngine,
        sayings: list[tuple[str, str, bool]],
        slow_s: int,
        no_repeats_s: int,
        messages_per_s: int,
    ) -> None:
        limits = RoomLimits(slow_s, no_repeats_s, messages_per_s)

        async def judged() -> list[Any]:
            store = a_store(valkey.url, new_prefix())
            got = await say(
                store,
                *(said(None if exempt else limits, text, uid) for uid, text, exempt in sayings),
            )
            await store.close()
            return told(got)

        assert asyncio.run(judged()) == self.expected(limits, sayings)
