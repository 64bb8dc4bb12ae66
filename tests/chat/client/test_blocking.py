"""The client without an event loop: the test's thread plays the node, others wait for it."""

import asyncio
import threading
from collections.abc import Callable
from inspect import signature
from itertools import islice
from typing import Any, TypeVar, get_type_hints

import pytest

from chat.client import BlockingClient, Client, ClientError, CommandRefused
from chat.client.blocking import How, Options
from chat.client.follower import News
from chat.wire.schema import Joined, Msg, Welcome
from tests.chat.fakenode import FakeNode, Peer, ack, error, msg

Result = TypeVar("Result")


async def apart(call: Callable[..., Result], *args: Any) -> Result:
    """What a call in another thread comes to, while the node goes on here."""
    return await asyncio.to_thread(call, *args)


def events(client: BlockingClient, count: int) -> list[News]:
    return list(islice(client, count))


class TestBeingTheSame:
    def test_it_has_the_methods_of_the_client_with_their_arguments(self) -> None:
        methods = {name for name in dir(Client) if callable(getattr(Client, name))}
        for name in sorted(name for name in methods if name[0] != "_"):
            theirs = signature(getattr(Client, name)).parameters
            ours = signature(getattr(BlockingClient, name)).parameters
            if name == "send":
                assert get_type_hints(How).keys() == theirs.keys() - {"self", "room", "text"}
            else:
                assert ours == theirs, name

    def test_it_has_its_options(self) -> None:
        taken = signature(Client.__init__).parameters.keys() - {"self", "url", "rooms"}
        assert get_type_hints(Options).keys() == taken


class TestBlocking:
    async def test_it_sends_and_iterates_without_a_loop(self) -> None:
        async with FakeNode() as node:

            def visit() -> tuple[int, list[News]]:
                with BlockingClient(node.url, "lobby") as client:
                    found = events(client, 3)
                    sent = client.send("lobby", "hello")
                    return sent.seq, found

            visiting = asyncio.create_task(apart(visit))
            peer = await node.greet(msg(1), seq=1)
            await peer.say(ack(await peer.hear(), 2))
            seq, found = await visiting
            assert seq == 2
            assert [type(event) for event in found] == [Welcome, Joined, Msg]

    async def test_several_threads_ask_at_once(self) -> None:
        async with FakeNode() as node:
            answers = []

            def visit() -> None:
                with BlockingClient(node.url) as client:

                    def ask(uid: str) -> None:
                        answers.append(client.moderate("a", "mute", uid=uid).action)

                    threads = [threading.Thread(target=ask, args=(f"u{n}",)) for n in range(5)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()

            visiting = asyncio.create_task(apart(visit))
            peer = await node.accept()
            await peer.welcome()
            asked = [await peer.hear() for _ in range(5)]
            assert {one["uid"] for one in asked} == {f"u{n}" for n in range(5)}
            for one in reversed(asked):
                done = {"t": "done", "room": "a", "action": "mute", "ref": one["ref"]}
                await peer.say(done)
            await visiting
            assert answers == ["mute"] * 5

    async def test_what_is_refused_is_raised_where_it_was_asked(self) -> None:
        async with FakeNode() as node:

            def visit() -> None:
                with BlockingClient(node.url) as client, pytest.raises(CommandRefused):
                    client.report("a", 1)

            visiting = asyncio.create_task(apart(visit))
            peer = await node.accept()
            await peer.welcome()
            await peer.say(error(await peer.hear(), "not_joined"))
            await visiting

    async def test_nothing_comes_within_the_time(self) -> None:
        async with FakeNode() as node:

            def visit() -> None:
                with BlockingClient(node.url) as client:
                    assert isinstance(client.next_event(10), Welcome)
                    with pytest.raises(TimeoutError):
                        client.next_event(0.01)

            visiting = asyncio.create_task(apart(visit))
            peer: Peer = await node.accept()
            await peer.welcome()
            await visiting

    def test_outside_of_a_with_block_it_says_so(self) -> None:
        with pytest.raises(ClientError, match="with"):
            BlockingClient("ws://127.0.0.1:1/ws").send("a", "b")

    def test_it_is_entered_once(self) -> None:
        threads = threading.active_count()
        client = BlockingClient("ws://127.0.0.1:1/ws")
        with client, pytest.raises(ClientError, match="once"):
            client.__enter__()
        with pytest.raises(ClientError, match="once"):
            client.__enter__()
        assert threading.active_count() == threads
