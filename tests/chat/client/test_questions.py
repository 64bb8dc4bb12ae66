"""What a client asks besides sending: asked until it is answered, over as many connections."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from chat.client.client import Client, SendRefused
from chat.client.link import Env
from chat.client.questions import ATTEMPTS, CommandRefused, Unanswered, Unsent, until_answered
from chat.wire.schema import Error, ErrorCode, Joined, Left, Msg
from tests.chat.fakenode import Event, FakeNode, World, error, msg
from tests.patience import PATIENCE_S


def client_of(node: FakeNode, *rooms: str, world: World | None = None, **more: Any) -> Client:
    return Client(node.url, *rooms, env=(world or World()).env, **more)


async def news(client: Client, kind: type) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        async for event in client:
            if isinstance(event, kind):
                return event
    raise AssertionError("the client has ended")


def done(command: Event) -> Event:
    return {"t": "done", **{name: command[name] for name in ("room", "action", "ref")}}


class TestAsking:
    async def test_what_the_server_refuses_is_raised(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            doing = asyncio.create_task(client.report("a", 7, "rude"))
            await peer.say(error(await peer.hear(), "not_joined"))
            with pytest.raises(CommandRefused, match="not_joined") as refused:
                await doing
            assert refused.value.error.code == "not_joined"

    async def test_it_is_asked_again_on_the_next_connection(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            doing = asyncio.create_task(client.report("a", 7))
            first = await peer.hear()
            await peer.drop()
            peer = await node.accept()
            await peer.welcome()
            second = await peer.hear()
            assert second == first | {"ref": second["ref"]}
            await peer.say({"t": "done", "room": "a", "action": "report", "ref": second["ref"]})
            assert (await doing).action == "report"

    async def test_it_is_asked_again_when_told_to(self) -> None:
        world = World()
        async with FakeNode() as node, client_of(node, world=world) as client:
            peer = await node.accept()
            await peer.welcome()
            doing = asyncio.create_task(client.report("a", 7))
            await peer.say(error(await peer.hear(), "rate_limited", retry_after=1.5))
            again = await peer.hear()
            assert world.slept == [1.5 + 0.5]
            await peer.say({"t": "done", "room": "a", "action": "report", "ref": again["ref"]})
            await doing

    async def test_it_ends_where_nobody_answers(self) -> None:
        async with FakeNode() as node, client_of(node, answer_s=0.01) as client:
            peer = await node.accept()
            await peer.welcome()
            with pytest.raises(Unanswered):
                await client.report("a", 7)
            assert [(await peer.hear())["t"] for _ in range(ATTEMPTS)] == ["report"] * ATTEMPTS


class TestInTime:
    async def test_it_is_unsent_where_there_is_no_connection(self) -> None:
        async with FakeNode() as node, client_of(node, "a", patience_s=0.2) as client:
            await node.accept()  # and says nothing
            for doing in (client.report("a", 7), client.send("a", "hi"), client.rename("b")):
                with pytest.raises(Unsent, match="could not be sent"):
                    await doing

    async def test_and_where_it_was_only_refused(self) -> None:
        env = Env(sleep=for_ever)
        async with FakeNode() as node, Client(node.url, env=env, patience_s=3) as client:
            peer = await node.accept()
            await peer.welcome()
            doing = asyncio.create_task(client.report("a", 7))
            await peer.say(error(await peer.hear(), "rate_limited", retry_after=1.5))
            with pytest.raises(Unsent):
                await doing

    async def test_it_is_unanswered_where_it_may_have_been_done(self) -> None:
        async with FakeNode() as node, client_of(node, patience_s=0.2) as client:
            peer = await node.accept()
            await peer.welcome()
            with pytest.raises(Unanswered):
                await client.report("a", 7)
            await peer.hear()

    async def test_leaving_needs_no_connection(self) -> None:
        async with FakeNode() as node, client_of(node, "a") as client:
            async with asyncio.timeout(PATIENCE_S):
                await client.leave("a")
            peer = await node.accept()
            await peer.welcome()
            await client.join("b")
            assert (await peer.hear())["room"] == "b"


async def for_ever(seconds: float) -> None:
    await asyncio.Event().wait()


class TestUntilAnswered:
    async def test_it_waits_as_told_and_full_jitter_behind_that(self) -> None:
        busy = Error(ErrorCode.RATE_LIMITED, "no", 1, 2.0)
        for chance, waited in ((1.0, [0.5, 2 + 1.0, 2.0]), (0.0, [0.0, 2.0, 0.0])):
            world = World(chance)
            answers = iter([None, busy, None, "done"])
            assert await until_answered(partial(give, answers), 5, world.env) == "done"
            assert world.slept == waited

    async def test_it_does_not_wait_for_an_attempt_that_is_not_made(self) -> None:
        world = World()
        busy = Error(ErrorCode.RATE_LIMITED, "no", 1, 2.0)
        assert await until_answered(lambda: give(iter([busy])), 1, world.env) is busy
        with pytest.raises(Unanswered):
            await until_answered(lambda: give(iter([None])), 1, world.env)
        assert world.slept == []


async def give(answers: Iterator[Any]) -> Any:
    return next(answers)


class TestRooms:
    async def test_one_is_joined_on_the_way_and_again_on_the_next_connection(self) -> None:
        async with FakeNode() as node, client_of(node) as client:
            peer = await node.accept()
            await peer.welcome()
            await news(client, object)
            await client.join("later")
            await client.join("later")
            assert (await peer.let_in(3))["room"] == "later"
            assert (await news(client, Joined)).room == "later"
            await peer.drop()
            peer = await node.accept()
            await peer.welcome()
            assert (await peer.hear())["since"] == {"epoch": "e1", "seq": 3}

    async def test_one_that_was_left_is_followed_no_more(self) -> None:
        async with FakeNode() as node, client_of(node, "a", "b") as client:
            peer = await node.accept()
            await peer.welcome()
            await peer.let_in(0)
            await peer.let_in(0)
            leaving = asyncio.create_task(client.leave("a"))
            left = await peer.hear()
            assert (left["t"], left["room"]) == ("leave", "a")
            await peer.say({"t": "left", "room": "a", "ref": left["ref"]})
            await leaving
            await client.leave("a")
            await peer.say(msg(1, room="a"), msg(1, room="b"))
            assert (await news(client, Msg)).room == "b"

    async def test_who_is_sent_out_cannot_say_anything_there(self) -> None:
        async with FakeNode() as node, client_of(node, "lobby") as client:
            peer = await node.greet()
            await peer.say({"t": "left", "room": "lobby", "reason": "banned: spam"})
            assert (await news(client, Left)).reason == "banned: spam"
            with pytest.raises(SendRefused, match="banned: spam"):
                await client.send("lobby", "hello?")
