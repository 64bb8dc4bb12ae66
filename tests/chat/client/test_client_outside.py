"""A client outside of its `async with` block says so, instead of waiting for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chat.client.client import Client
from chat.client.link import ClientError
from chat.wire.schema import Gap
from tests.chat.fakenode import FakeNode
from tests.patience import PATIENCE_S

NOWHERE = "ws://127.0.0.1:1/ws"

METHODS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "iterating": lambda client: anext(client),
    "send": lambda client: client.send("lobby", "hi"),
    "join": lambda client: client.join("annex"),
    "leave": lambda client: client.leave("lobby"),
    "authenticate": lambda client: client.authenticate("a token"),
    "rename": lambda client: client.rename("Flower"),
    "moderate": lambda client: client.moderate("lobby", "mute", uid="u7"),
    "report": lambda client: client.report("lobby", 1),
    "like": lambda client: client.like("lobby"),
    "history": lambda client: client.history("lobby"),
    "missed": lambda client: client.missed(Gap("lobby", "e1", 7, 3)),
}
PUBLIC = {name for name in dir(Client) if callable(getattr(Client, name)) and name[0] != "_"}


def test_every_method_is_here() -> None:
    assert METHODS.keys() - {"iterating"} == PUBLIC


@pytest.mark.parametrize("method", METHODS)
class TestOutside:
    async def test_before_it_all_say_so(self, method: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ClientError, match="async with"):
                await METHODS[method](Client(NOWHERE, "lobby"))

    async def test_after_it_all_say_so_though_it_never_began(self, method: str) -> None:
        async with asyncio.timeout(PATIENCE_S), Client(NOWHERE, "lobby") as client:
            pass
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ClientError, match="closed"):
                await METHODS[method](client)

    async def test_after_it_all_say_so(self, method: str) -> None:
        async with FakeNode() as node, Client(node.url, "lobby", listen=False) as client:
            await node.greet()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ClientError, match="closed"):
                await METHODS[method](client)


async def test_it_is_entered_once() -> None:
    async with Client(NOWHERE, "lobby") as client:
        with pytest.raises(ClientError, match="once"):
            await client.__aenter__()
