"""A client goes on after a refusal: of a token, of a room."""

import asyncio

import pytest

from chat.client.client import Client
from chat.client.link import ClientError
from tests.chat.fakenode import FakeNode, World, error


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
