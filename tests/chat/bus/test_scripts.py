"""Scripts on a real Valkey: called by their hash, told again where they were forgotten."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import NoScriptError

from chat.bus.connect import FAILURES, StoreError, connect
from chat.bus.scripts import Call, Script
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import BOUND_S


class Desk:
    """`renew.lua`, which begins epoch `new` of a room if its epoch is `old`, and who asks for it.

    round_trips  how often it was asked
    fails_at     which of them gets no answer
    forgotten    calls that the first is told were of an unknown script
    """

    def __init__(self, url: str, prefix: str) -> None:
        self.client: Any = connect(url, BOUND_S, BOUND_S)
        self.script = Script(self.client, "renew")
        self.prefix = prefix
        self.round_trips = 0
        self.fails_at = 0
        self.forgotten: set[int] = set()

    async def ask(self, answer: Any) -> Any:
        self.round_trips += 1
        if self.round_trips == self.fails_at:
            answer.close()
            raise StoreError("no answer")
        try:
            found = await answer
        except FAILURES as error:
            raise StoreError(str(error)) from error
        if self.round_trips == 1:
            for call in self.forgotten:
                found[call] = NoScriptError()
        return found

    def key(self, room: str) -> str:
        return f"{self.prefix}:{room}"

    async def begin(self, *rooms: str) -> None:
        """Rooms in epoch `old`."""
        for room in rooms:
            await self.client.hset(self.key(room), "epoch", "old")

    def call(self, room: str) -> Call:
        return [self.key(room)], ["old", "new"]

    async def epoch(self, room: str) -> str:
        found: bytes = await self.client.hget(self.key(room), "epoch")
        return found.decode()


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    desk = Desk(valkey.url, prefix)
    await desk.client.script_load(desk.script._script.script)
    yield desk
    await desk.client.aclose()


class TestOneCall:
    async def test_its_reply_comes_back(self, desk: Desk) -> None:
        await desk.begin("a")
        assert await desk.script.run(desk.ask, *desk.call("a")) == 1
        assert await desk.script.run(desk.ask, *desk.call("a")) == 0
        assert await desk.epoch("a") == "new"

    async def test_a_server_that_forgot_the_script_is_told_it(self, desk: Desk) -> None:
        await desk.begin("a")
        await desk.client.script_flush()
        assert await desk.script.run(desk.ask, *desk.call("a")) == 1

    async def test_a_script_that_fails_is_a_store_error(self, desk: Desk) -> None:
        await desk.client.set(desk.key("a"), "no hash")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await desk.script.run(desk.ask, *desk.call("a"))


class TestManyCalls:
    async def test_replies_come_in_the_calls_order_after_one_round_trip(self, desk: Desk) -> None:
        await desk.begin("a", "c")
        calls = [desk.call(room) for room in "abcd"]
        assert await desk.script.run_each(desk.ask, calls) == [1, 0, 1, 0]
        assert desk.round_trips == 1

    async def test_one_that_fails_leaves_the_others_alone(self, desk: Desk) -> None:
        await desk.begin("a", "c")
        await desk.client.set(desk.key("b"), "no hash")
        calls = [desk.call(room) for room in "abc"]
        one, failed, other = await desk.script.run_each(desk.ask, calls)
        assert (one, other) == (1, 1)
        assert isinstance(failed, FAILURES)
        assert "WRONGTYPE" in str(failed)

    async def test_a_server_that_forgot_the_script_is_told_it_once(self, desk: Desk) -> None:
        await desk.begin("a")
        await desk.client.script_flush()
        calls = [desk.call(room) for room in "abc"]
        assert await desk.script.run_each(desk.ask, calls) == [1, 0, 0]
        assert desk.round_trips == 3

    async def test_only_those_who_were_refused_are_asked_again(self, desk: Desk) -> None:
        await desk.begin("a", "b", "c")
        desk.forgotten = {1}  # it was done all the same, so doing it again finds another epoch
        calls = [desk.call(room) for room in "abc"]
        assert await desk.script.run_each(desk.ask, calls) == [1, 0, 1]
        assert desk.round_trips == 3

    async def test_no_calls_are_no_replies(self, desk: Desk) -> None:
        assert await desk.script.run_each(desk.ask, []) == []

    async def test_no_answer_to_the_first_question_is_a_store_error(self, desk: Desk) -> None:
        await desk.begin("a")
        desk.fails_at = 1
        with pytest.raises(StoreError, match="no answer"):
            await desk.script.run_each(desk.ask, [desk.call("a")])
        assert await desk.epoch("a") == "old"

    @pytest.mark.parametrize("at", [2, 3])
    async def test_no_answer_later_is_the_reply_of_those_who_asked_again(
        self, desk: Desk, at: int
    ) -> None:
        await desk.client.script_flush()
        desk.fails_at = at
        replies = await desk.script.run_each(desk.ask, [desk.call("a"), desk.call("b")])
        assert [str(reply) for reply in replies] == ["no answer", "no answer"]
        assert all(isinstance(reply, StoreError) for reply in replies)

    @pytest.mark.parametrize("at", [2, 3])
    async def test_what_was_done_by_then_stays_done(self, desk: Desk, at: int) -> None:
        await desk.begin("a", "b", "c")
        desk.forgotten, desk.fails_at = {0, 2}, at
        calls = [desk.call(room) for room in "abc"]
        first, done, last = await desk.script.run_each(desk.ask, calls)
        assert done == 1
        assert isinstance(first, StoreError)
        assert isinstance(last, StoreError)
