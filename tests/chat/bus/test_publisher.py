"""Publishing in batches, against a real Valkey that is sometimes frozen."""

import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import redis.asyncio as redis
from msgspec import structs

from chat.bus import publisher as publisher_module
from chat.bus.breaker import Breaker, Circuit
from chat.bus.outgoing import RoomLimits
from chat.bus.publisher import Outcome, Publisher, Unpublished
from chat.bus.store import Receipt, Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.desk import texts
from tests.chat.rig import a_store, outgoing, until

FROZEN_TIMEOUT_S = 0.5


class Desk:
    """A publisher and everything it said."""

    def __init__(self, store: Store, timeout_s: float = 5.0) -> None:
        self.store = store
        self.now = 1_000.0
        self.ahead_ms = 0
        self.outcomes: list[tuple[Any, Outcome]] = []
        self.flushes: list[int] = []
        self.tries: list[float] = []
        self.publisher: Publisher[Any] = Publisher(
            *(store, self._done, timeout_s, lambda: self.now, self.wall_ms, self.tries.append)
        )

    @property
    def breaker(self) -> Breaker:
        """Of the only lane there is to one server."""
        [lane] = self.publisher._lanes.values()
        return lane.breaker

    def wall_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms

    def _done(self, results: Sequence[tuple[Any, Outcome]]) -> None:
        self.outcomes += results
        self.flushes.append(len(results))

    def say(self, tag: Any, room: str = "r", message_id: str | None = None) -> None:
        self.publisher.submit(outgoing(room, str(tag), message_id), tag)

    async def verdicts(self, count: int) -> dict[Any, Outcome]:
        """All outcomes, when there are `count`; never two of one."""
        await until(lambda: len(self.outcomes) >= count, f"{count} outcomes")
        await self.publisher.close()
        assert len(self.outcomes) == count
        found = dict(self.outcomes)
        assert len(found) == count
        return found

    async def texts(self, room: str = "r") -> list[str]:
        known = await self.store.peek_room(room)
        if known is None:
            return []
        return texts(await self.store.history(room, known[0], 0, 9_999))


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    store = a_store(valkey.url, prefix, history=3_000)
    yield Desk(store)
    await store.close()


@pytest.fixture
async def shaky(own_valkey: EmbeddedEngine) -> AsyncIterator[Desk]:
    """On a Valkey that may be frozen, with little patience."""
    store = a_store(own_valkey.url, "x", timeout_s=FROZEN_TIMEOUT_S, history=3_000)
    yield Desk(store, FROZEN_TIMEOUT_S)
    await store.close()


def freeze(engine: EmbeddedEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)


def thaw(engine: EmbeddedEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGCONT)


class TestOrder:
    async def test_what_is_submitted_in_one_turn_is_one_flush_in_order(self, desk: Desk) -> None:
        for i in range(20):
            desk.say(i)
        found = await desk.verdicts(20)
        assert desk.flushes == [20]
        assert [found[i] for i in range(20)] == [
            Receipt(one.epoch, i + 1, one.ts, False)
            for i, one in enumerate(found.values())
            if isinstance(one, Receipt)
        ]
        assert await desk.texts() == [str(i) for i in range(20)]

    async def test_what_comes_meanwhile_is_the_next_flush(self, desk: Desk) -> None:
        for i in range(50):
            desk.say(i)
            if i % 7 == 0:
                await desk.store.ping()  # lets a flush begin, and maybe end
        await desk.verdicts(50)
        assert len(desk.flushes) > 1
        assert await desk.texts() == [str(i) for i in range(50)]

    async def test_a_large_queue_is_flushed_in_bounded_batches(self, desk: Desk) -> None:
        count = 2 * publisher_module.MAX_BATCH + 10
        for i in range(count):
            desk.say(i)
        await desk.verdicts(count)
        assert desk.flushes == [publisher_module.MAX_BATCH, publisher_module.MAX_BATCH, 10]
        assert await desk.texts() == [str(i) for i in range(count)]

    async def test_rooms_of_all_partitions_count_for_themselves(self, desk: Desk) -> None:
        rooms = [f"room{i}" for i in range(40)]
        for i in range(400):
            desk.say(i, rooms[i % 40])
        found = await desk.verdicts(400)
        for start in range(40):
            mine = [found[i] for i in range(start, 400, 40)]
            assert [one.seq for one in mine if isinstance(one, Receipt)] == list(range(1, 11))

    async def test_a_repeated_id_is_told_the_first_place(self, desk: Desk) -> None:
        desk.say("a", message_id="id")
        first = (await desk.verdicts(1))["a"]
        desk.publisher.submit(outgoing("r", "a", "id"), "again")
        again = (await desk.verdicts(2))["again"]
        assert isinstance(first, Receipt)
        assert again == Receipt(first.epoch, first.seq, first.ts, True)

    async def test_an_id_of_another_message_is_refused_for_good(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk.say("a", message_id="id")
        await desk.verdicts(1)
        desk.say("b", message_id="id")
        assert (await desk.verdicts(2))["b"] == Unpublished(None, "id_reused")
        assert desk.breaker.state is Circuit.CLOSED
        assert not caplog.records  # a client's mistake, as often as it likes
        assert await desk.texts() == ["a"]

    async def test_what_a_rooms_limit_refuses_is_no_failure(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        limits = RoomLimits(slow_s=60)
        for i in range(10):
            desk.publisher.submit(structs.replace(outgoing("r", str(i)), limits=limits), i)
            outcome = (await desk.verdicts(i + 1))[i]
            if i:
                assert isinstance(outcome, Unpublished)
                assert outcome.reason == "slow_mode"
                assert outcome.retry_after is not None
                assert 0 < outcome.retry_after <= 60
        assert desk.breaker.state is Circuit.CLOSED
        assert not caplog.records
        assert await desk.texts() == ["0"]

    async def test_a_partition_that_fails_does_not_fail_the_flush(
        self, desk: Desk, valkey: EmbeddedEngine
    ) -> None:
        raw: Any = redis.from_url(valkey.url, protocol=2)
        keys = desk.store.keys
        sound = next(f"r{i}" for i in range(99) if keys.partition(f"r{i}") != keys.partition("r"))
        await raw.set(keys.fanout(keys.partition("r")), "not a stream")
        desk.say("a")
        desk.say("b", sound)
        found = await desk.verdicts(2)
        assert isinstance(found["a"], Unpublished)
        assert isinstance(found["b"], Receipt)
        assert desk.breaker.state is Circuit.CLOSED
        await raw.aclose()

    async def test_a_room_that_is_refused_does_not_stop_the_others(
        self, desk: Desk, valkey: EmbeddedEngine
    ) -> None:
        raw: Any = redis.from_url(valkey.url, protocol=2)
        await raw.hset(desk.store.keys.room("r"), mapping={"epoch": "e1"})
        await raw.set(desk.store.keys.history("r"), "not a stream")
        for i in range(10):
            desk.say(i)
            assert isinstance((await desk.verdicts(i + 1))[i], Unpublished)
        assert desk.breaker.state is Circuit.CLOSED
        await raw.aclose()


class TestClocks:
    @pytest.mark.parametrize("ahead_ms", [-3_600_000, 3_600_000])
    async def test_only_redis_clock_counts(self, desk: Desk, ahead_ms: int) -> None:
        desk.ahead_ms = ahead_ms
        desk.say("a")
        assert isinstance((await desk.verdicts(1))["a"], Receipt)

    async def test_redis_clock_set_forth_refuses_once_and_is_learnt(self, desk: Desk) -> None:
        desk.say("a")
        await desk.verdicts(1)
        server = await desk.store.servers.find("")
        assert server.clock_ms is not None
        server.clock_ms -= 3_600_000
        desk.say("b")
        assert (await desk.verdicts(2))["b"] == Unpublished(0.5, "too late")
        desk.say("c")
        assert isinstance((await desk.verdicts(3))["c"], Receipt)
        assert await desk.texts() == ["a", "c"]


class TestRefusing:
    async def test_what_was_refused_never_appears(
        self, shaky: Desk, own_valkey: EmbeddedEngine
    ) -> None:
        shaky.say("before")
        await shaky.verdicts(1)
        freeze(own_valkey)
        shaky.say("frozen")
        refused = (await shaky.verdicts(2))["frozen"]
        assert isinstance(refused, Unpublished)
        assert refused.reason == "unavailable"
        assert refused.retry_after is not None
        assert refused.retry_after >= 0.5
        thaw(own_valkey)
        # The script of the abandoned connection lies in the socket's buffer and is run before:
        await until(own_valkey.ping)
        shaky.say("after")
        await shaky.verdicts(3)
        assert await shaky.texts() == ["before", "after"]

    async def test_nobody_there_is_refused_and_the_breaker_opens(self) -> None:
        desk = Desk(a_store("unix:///nowhere/to/be.sock", "x"))
        for i in range(5):
            desk.say(i)
            assert isinstance((await desk.verdicts(i + 1))[i], Unpublished)
        assert desk.breaker.state is Circuit.OPEN
        desk.say("at once")
        assert desk.outcomes[-1] == ("at once", Unpublished(1.0, "unavailable"))
        await desk.store.close()

    async def test_it_closes_again_after_one_that_succeeds(
        self, shaky: Desk, own_valkey: EmbeddedEngine
    ) -> None:
        shaky.say(0)
        await shaky.verdicts(1)
        freeze(own_valkey)
        for i in range(1, 5):
            shaky.say(i)
            await shaky.verdicts(i + 1)
        assert shaky.breaker.state is Circuit.OPEN
        assert (shaky.publisher.closed_lanes, len(shaky.tries)) == (1, len(shaky.flushes))

        shaky.now += 1.0  # the pause is over; one is let through, and fails
        shaky.say("probe")
        await shaky.verdicts(6)
        assert shaky.breaker.state is Circuit.OPEN
        shaky.say("too early")
        assert shaky.outcomes[-1][0] == "too early"

        thaw(own_valkey)
        await until(own_valkey.ping)
        shaky.now += 1.0
        shaky.say("second probe")
        found = await shaky.verdicts(8)
        assert isinstance(found["second probe"], Receipt)
        assert shaky.breaker.state.name == "CLOSED"
        assert shaky.publisher.closed_lanes == 0
        assert await shaky.texts() == ["0", "second probe"]

    async def test_what_waits_behind_a_failure_is_refused_when_the_breaker_opens(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publisher_module, "MAX_BATCH", 2)
        desk = Desk(a_store("unix:///nowhere/to/be.sock", "x"))
        for i in range(40):
            desk.say(i)
        found = await desk.verdicts(40)
        assert all(isinstance(one, Unpublished) for one in found.values())
        assert desk.flushes == [2, 2, 2, 2, 2, 30]
        assert [tag for tag, _ in desk.outcomes] == list(range(40))
        await desk.store.close()

    async def test_the_queue_is_bounded(
        self, shaky: Desk, own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publisher_module, "MAX_QUEUED", 10)
        freeze(own_valkey)
        for i in range(15):
            shaky.say(i)
        assert shaky.outcomes == [(i, Unpublished(1.0, "overloaded")) for i in range(10, 15)]
        thaw(own_valkey)
        found = await shaky.verdicts(15)
        published = [tag for tag, one in found.items() if isinstance(one, Receipt)]
        assert await shaky.texts() == [str(tag) for tag in published]
        assert set(published) <= set(range(10))

    async def test_a_fault_of_ours_has_an_outcome_too(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.say("a")
        await desk.verdicts(1)
        with monkeypatch.context() as broken:
            broken.setattr(desk.store, "publish", lambda *_: 1 / 0)
            desk.say("b")
            assert isinstance((await desk.verdicts(2))["b"], Unpublished)
        desk.say("c")
        assert isinstance((await desk.verdicts(3))["c"], Receipt)

    async def test_one_who_cannot_bear_the_outcome_does_not_stop_the_others(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[Any] = []

        def done(results: Sequence[tuple[Any, Outcome]]) -> None:
            told.append([tag for tag, _ in results])
            raise RuntimeError

        publisher = Publisher(desk.store, done, 5.0, lambda: desk.now, desk.wall_ms)
        publisher.submit(outgoing("r", "a"), "a")
        await publisher.close()
        publisher.submit(outgoing("r", "b"), "b")
        await publisher.close()
        assert told == [["a"], ["b"]]


async def test_close_waits_for_what_is_queued(desk: Desk) -> None:
    for i in range(2_000):
        desk.say(i)
    await desk.publisher.close()
    assert len(desk.outcomes) == 2_000
    await desk.publisher.close()
