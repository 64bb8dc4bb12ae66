"""The Python client on a real node, over a network that is cut or goes mute under it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bench.local import Node
from chat.client import (
    BlockingClient,
    Client,
    Gap,
    Joined,
    Left,
    Msg,
    SendRefused,
    Unanswered,
    Unsent,
)
from tests.e2e.cuttable import Cuttable
from tests.e2e.test_client_js import order, said, say
from tests.patience import PATIENCE_S, until

GONE = 600
"""More than `rooms.history` keeps."""
rooms = count()


@pytest.fixture
def network(node: Node) -> Iterator[Cuttable]:
    with Cuttable(node.port) as network:
        yield network


@pytest.fixture
def room() -> str:
    return f"python:房间:{next(rooms)}"


async def read(client: Client, last: Callable[[Any], bool]) -> list[Any]:
    """Everything up to and with the first that is meant."""
    events = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in client:
            events.append(event)
            if last(event):
                break
    return events


def is_a(kind: type) -> Callable[[Any], bool]:
    return lambda event: isinstance(event, kind)


class TestMissed:
    async def test_what_is_kept_of_it_is_had_and_the_rest_is_counted(
        self, node: Node, network: Cuttable, room: str
    ) -> None:
        async with Client(network.ws, room) as client:
            await asyncio.to_thread(say, node, room, "before")
            await read(client, is_a(Msg))
            network.cut()
            for _ in range(GONE // 100):
                await asyncio.to_thread(say, node, room, *(f"{n}" for n in range(100)))
            network.mend()
            gap = (await read(client, is_a(Gap)))[-1]
            shown = await read(client, lambda event: isinstance(event, Msg) and event.seq > GONE)
            first_shown = next(event.seq for event in shown if isinstance(event, Msg))
            places, gone = await client.missed(gap)
        assert (gap.seq, gap.lost) == (first_shown - 1, first_shown - 2)
        assert [place.seq for place in places] == list(range(gone + 2, first_shown))
        assert len(places) > 100, "more than one page was still kept"
        assert all(isinstance(place, Msg) for place in places)


class TestTimeOuts:
    async def test_a_join_that_nobody_answers_is_a_dead_connection(
        self, node: Node, network: Cuttable, room: str
    ) -> None:
        away = asyncio.Event()
        options: dict[str, Any] = {"answer_s": 2, "on_away": lambda why, _: away.set()}
        async with Client(network.ws, room, **options) as client:
            await read(client, is_a(Joined))
            network.mute = True
            await client.join(f"{room}:b")
            async with asyncio.timeout(PATIENCE_S):
                await away.wait()
            network.mend()
            joined = [await read(client, is_a(Joined)) for _ in range(2)]
            assert {events[-1].room for events in joined} == {room, f"{room}:b"}
            assert network.accepted >= 2

    async def test_what_is_said_and_asked_without_a_connection_is_unsent(
        self, node: Node, network: Cuttable, room: str
    ) -> None:
        away = asyncio.Event()
        options: dict[str, Any] = {"patience_s": 1.0, "on_away": lambda why, _: away.set()}
        async with Client(network.ws, room, **options) as client:
            await read(client, is_a(Joined))
            network.cut()
            async with asyncio.timeout(PATIENCE_S):
                await away.wait()
            doing = (client.send(room, "hi"), client.history(room), client.rename("Flower"))
            ended = await asyncio.gather(*doing, client.authenticate("t"), return_exceptions=True)
            assert [type(one) for one in ended] == [Unsent] * 4
            assert "1 s" in str(ended[0])
            await client.leave(room)  # is done, whatever the network does
            network.mend()
        assert said(node, room) == []

    async def test_what_was_sent_and_had_no_answer_is_unanswered_and_there_once(
        self, node: Node, network: Cuttable, room: str
    ) -> None:
        async with Client(network.ws, room, patience_s=2.0, answer_s=30) as client:
            await read(client, is_a(Joined))
            network.mute = True
            with pytest.raises(Unanswered):
                await client.send(room, "hi", message_id="one")
            await asyncio.to_thread(until, lambda: said(node, room) == ["hi"], "the message")
            network.cut()
            network.mend()
            ack = None
            async with asyncio.timeout(PATIENCE_S):
                while ack is None:  # until it is back
                    with suppress(Unsent, Unanswered):
                        ack = await client.send(room, "hi", message_id="one")
        assert ack.seq == 1
        assert said(node, room) == ["hi"]

    async def test_so_it_is_without_an_event_loop(self, network: Cuttable, room: str) -> None:
        def visit() -> None:
            with (
                BlockingClient(network.ws, room, patience_s=0.5) as client,
                pytest.raises(Unsent),
            ):
                client.send(room, "hi")

        network.cut()
        await asyncio.to_thread(visit)


class TestSentOut:
    async def test_who_is_kicked_out_of_a_room_does_not_come_back_with_the_next_connection(
        self, node: Node, network: Cuttable, room: str
    ) -> None:
        other = f"{room}:b"
        async with Client(network.ws, room, other) as client:
            for _ in range(2):
                await read(client, is_a(Joined))
            assert client.me is not None
            path = f"/rooms/{quote(room)}/kicks"
            await asyncio.to_thread(order, node, "POST", path, {"uid": client.me.uid})
            assert (await read(client, is_a(Left)))[-1].room == room
            network.cut()
            network.mend()
            assert (await read(client, is_a(Joined)))[-1].room == other
            with pytest.raises(SendRefused, match="kicked"):
                await client.send(room, "hi")
            assert (await client.send(other, "hi")).seq == 1


class TestFull:
    async def test_who_is_too_many_of_an_address_comes_back_as_late_as_it_is_told(
        self, tmp_path: Path
    ) -> None:
        told: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        settings = {"server_shards": 1, "limits_connections_per_address": 1}
        with Node(tmp_path, **settings) as node:
            async with Client(node.ws, "full") as first:
                await read(first, is_a(Joined))

                def away(reason: str, away_s: float) -> None:
                    told.put_nowait((reason, away_s))

                async with Client(node.ws, "full", on_away=away), asyncio.timeout(PATIENCE_S):
                    reason, away_s = await told.get()
        assert "429" in reason
        assert 30 <= away_s <= 30.5
