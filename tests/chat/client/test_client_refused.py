"""A client goes on after a refusal: of a token, of a room."""

import asyncio

import pytest

from chat.client.client import Client, SendRefused
from chat.client.link import ClientError
from chat.client.questions import CommandRefused
from tests.chat.fakenode import FakeNode, World, ack, error


class TestBeingRefused:
    async def test_a_refused_token_is_not_what_the_next_connection_comes_with(self) -> None:
        world = World()
        async with FakeNode() as node, Client(node.url, token="good", env=world.env) as client:
            peer = await node.accept()
            await peer.welcome("u1", "user")
            showing = asyncio.create_task(client.authenticate("bad"))
            await peer.say(error(await peer.hear(), "forbidden"))
            with pytest.raises(ClientError, match="forbidden"):
                await showing
            await peer.drop()
            assert "token=good" in (await node.accept()).path

    async def test_what_is_for_a_room_not_followed_is_refused(self) -> None:
        world = World()
        async with FakeNode() as node, Client(node.url, "lobby", env=world.env) as client:
            await node.greet()
            with pytest.raises(ClientError, match="elsewhere"):
                await client.send("elsewhere", "hi")

    async def test_a_text_that_no_server_takes_is_refused_before_it_ends_the_connection(
        self,
    ) -> None:
        async with FakeNode() as node, Client(node.url, "lobby", env=World().env) as client:
            peer = await node.greet()
            with pytest.raises(SendRefused, match="text_too_long"):
                await client.send("lobby", "x" * 2001)
            sending = asyncio.create_task(client.send("lobby", "🎉" * 2000))
            await peer.say(ack(await peer.hear(), 1))
            assert (await sending).seq == 1

    async def test_so_is_any_other_command(self) -> None:
        async with FakeNode() as node, Client(node.url, "lobby", env=World().env) as client:
            peer = await node.greet()
            for asking in (client.report("lobby", 1, "花" * 6000), client.rename("x" * 17_000)):
                with pytest.raises(CommandRefused, match="over 16384 bytes"):
                    await asking
            asked = asyncio.create_task(client.like("lobby"))
            command = await peer.hear()
            assert command["t"] == "like"
            done = {"t": "done", "room": "lobby", "action": "like", "ref": command["ref"]}
            await peer.say(done)
            await asked
