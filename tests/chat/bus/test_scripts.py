"""Scripts on a real Valkey: called by their hash, told again where they were forgotten."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.exceptions import NoScriptError

from chat.bus.connect import FAILURES, StoreError, connect
from chat.bus.scripts import Call, Script
from chat.bus.servers import Request, Servers
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import BOUND_S


class Asked(Servers):
    """One server, and how often it was asked.

    fails_at   which of the times gets no answer
    forgotten  calls that the first is told were of an unknown script
    """

    round_trips = 0
    fails_at = 0

    def __init__(self, url: str) -> None:
        super().__init__(url, BOUND_S)
        self.forgotten: set[int] = set()

    async def ask_each(self, requests: Sequence[Request], *, publishing: bool = False) -> list[Any]:
        self.round_trips += 1
        if self.round_trips == self.fails_at:
            return [StoreError("no answer")] * len(requests)
        found = await super().ask_each(requests, publishing=publishing)
        if self.round_trips == 1:
            for call in self.forgotten:
                found[call] = NoScriptError()
        return found


class Desk:
    """`renew.lua`, which begins epoch `new` of a room if its epoch is `old`, and who is asked."""

    def __init__(self, url: str, prefix: str) -> None:
        self.servers = Asked(url)
        self.client: Any = connect(url, BOUND_S, BOUND_S)
        self.script = Script(self.servers, "renew")
        self.prefix = prefix

    def key(self, room: str) -> str:
        return f"{self.prefix}:{room}"

    async def begin(self, *rooms: str) -> None:
        """Rooms in epoch `old`."""
        for room in rooms:
            await self.client.hset(self.key(room), "epoch", "old")

    def call(self, room: str) -> Call:
        return [self.key(room)], lambda server: ["old", "new"]

    async def run(self, room: str) -> Any:
        return await self.script.run([self.key(room)], ["old", "new"])

    async def epoch(self, room: str) -> str:
        found: bytes = await self.client.hget(self.key(room), "epoch")
        return found.decode()


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    desk = Desk(valkey.url, prefix)
    await desk.client.script_load(desk.script._source)
    yield desk
    await desk.client.aclose()
    await desk.servers.close()


class TestOneCall:
    async def test_its_reply_comes_back(self, desk: Desk) -> None:
        await desk.begin("a")
        assert await desk.run("a") == 1
        assert await desk.run("a") == 0
        assert await desk.epoch("a") == "new"

    async def test_a_server_that_forgot_the_script_is_told_it(self, desk: Desk) -> None:
        await desk.begin("a")
        await desk.client.script_flush()
        assert await desk.run("a") == 1

    async def test_a_script_that_fails_is_a_store_error(self, desk: Desk) -> None:
        await desk.client.set(desk.key("a"), "no hash")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await desk.run("a")


class TestManyCalls:
    async def test_replies_come_in_the_calls_order_after_one_round_trip(self, desk: Desk) -> None:
        await desk.begin("a", "c")
        calls = [desk.call(room) for room in "abcd"]
        assert await desk.script.run_each(calls) == [1, 0, 1, 0]
        assert desk.servers.round_trips == 1

    async def test_one_that_fails_leaves_the_others_alone(self, desk: Desk) -> None:
        await desk.begin("a", "c")
        await desk.client.set(desk.key("b"), "no hash")
        calls = [desk.call(room) for room in "abc"]
        one, failed, other = await desk.script.run_each(calls)
        assert (one, other) == (1, 1)
        assert isinstance(failed, FAILURES)
        assert "WRONGTYPE" in str(failed)

    async def test_a_server_that_forgot_the_script_is_sent_it_once(self, desk: Desk) -> None:
        await desk.begin("a")
        await desk.client.script_flush()
        calls = [desk.call(room) for room in "abc"]
        assert await desk.script.run_each(calls) == [1, 0, 0]
        assert desk.servers.round_trips == 2

    async def test_only_those_who_were_refused_are_asked_again(self, desk: Desk) -> None:
        await desk.begin("a", "b", "c")
        desk.servers.forgotten = {
            1
        }  # it was done all the same, so doing it again finds another epoch
        calls = [desk.call(room) for room in "abc"]
        assert await desk.script.run_each(calls) == [1, 0, 1]
        assert desk.servers.round_trips == 2

    async def test_no_calls_are_no_replies(self, desk: Desk) -> None:
        assert await desk.script.run_each([]) == []

    async def test_no_answer_to_the_first_question_is_a_store_error(self, desk: Desk) -> None:
        await desk.begin("a")
        desk.servers.fails_at = 1
        [reply] = await desk.script.run_each([desk.call("a")])
        assert str(reply) == "no answer"
        desk.servers.fails_at = 2
        with pytest.raises(StoreError, match="no answer"):
            await desk.run("a")
        assert await desk.epoch("a") == "old"

    async def test_no_answer_later_is_the_reply_of_those_who_asked_again(self, desk: Desk) -> None:
        await desk.client.script_flush()
        desk.servers.fails_at = 2
        replies = await desk.script.run_each([desk.call("a"), desk.call("b")])
        assert [str(reply) for reply in replies] == ["no answer", "no answer"]
        assert all(isinstance(reply, StoreError) for reply in replies)

    async def test_what_was_done_by_then_stays_done(self, desk: Desk) -> None:
        await desk.begin("a", "b", "c")
        desk.servers.forgotten, desk.servers.fails_at = {0, 2}, 2
        calls = [desk.call(room) for room in "abc"]
        first, done, last = await desk.script.run_each(calls)
        assert done == 1
        assert isinstance(first, StoreError)
        assert isinstance(last, StoreError)
