"""docs/wire.md: what it says of how a connection begins, of the order of answers and of what is
refused, on a socket that knows nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from bench.local import Node
from tests.patience import PATIENCE_S

Event = dict[str, Any]


class Socket:
    """A connection; `frames` are those that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.frames: list[list[Event]] = []

    async def say(self, *commands: Event | str) -> None:
        for command in commands:
            await self._socket.send(command if isinstance(command, str) else json.dumps(command))

    async def until(self, *kinds: str) -> list[Event]:
        """The events of these kinds, in the order they came, when there is one for each."""
        left = list(kinds)
        found = []
        async with asyncio.timeout(PATIENCE_S):
            while left:
                self.frames.append(json.loads(await self._socket.recv()))
                for event in self.frames[-1]:
                    if event["t"] in left:
                        left.remove(event["t"])
                        found.append(event)
        return found


@asynccontextmanager
async def opened(node: Node, query: str = "") -> AsyncIterator[Socket]:
    async with connect(f"{node.ws}{query}", subprotocols=None) as socket:
        yield Socket(socket)


def send(room: str, text: str, ref: int, **more: Any) -> Event:
    return {"t": "send", "room": room, "text": text, "ref": ref, **more}


class TestTheBeginning:
    async def test_rooms_of_the_address_are_answered_in_the_first_frame(self, node: Node) -> None:
        for _ in range(20):  # the first on each shard opens the room there
            async with opened(node, "?room=wire:open&room=a%20b") as socket:
                _, *answers = await socket.until("welcome", "joined", "error")
                assert not [answer for answer in answers if "ref" in answer]
                first = [event["t"] for event in socket.frames[0]]
                assert first[0] == "welcome"
                assert "error" in first
                if first == ["welcome", "joined", "error"]:
                    return
        raise AssertionError("an open room was never answered with the welcome")

    async def test_commands_may_follow_the_upgrade_at_once(self, node: Node) -> None:
        async with opened(node) as socket:
            await socket.say(
                {"t": "join", "room": "wire:once", "ref": "j"}, {"t": "ping", "ref": 1}
            )
            events = await socket.until("welcome", "pong", "joined")
            assert events[0]["t"] == "welcome"
            assert {event.get("ref") for event in events} == {None, 1, "j"}

    @pytest.mark.parametrize(
        ("path", "headers", "status"),
        [
            ("/nowhere", {}, 404),
            ("/ws", {"Sec-WebSocket-Version": "12"}, 400),
            ("/ws", {"X-Long": "x" * 9000}, 431),
        ],
    )
    async def test_what_is_refused_has_a_status(
        self, node: Node, path: str, headers: dict[str, str], status: int
    ) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(node.ws.replace("/ws", path), additional_headers=headers)
        assert refused.value.response.status_code == status
        assert refused.value.response.body.strip()

    async def test_who_only_asks_is_told_to_upgrade(self, node: Node) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
        writer.close()


class TestTheOrder:
    async def test_answers_are_told_by_their_ref(self, node: Node) -> None:
        room = "wire:order"
        async with opened(node, f"?room={room}") as socket:
            await socket.until("joined")
            sends = [send(room, f"{i}", i) for i in range(10)]
            await socket.say(*sends, {"t": "ping", "ref": 99})
            kinds = ["ack"] * 10 + ["pong"]
            acks = [event for event in await socket.until(*kinds) if event["t"] == "ack"]
            places = {ack["ref"]: ack["seq"] for ack in acks}
            assert [places[i] for i in range(10)] == list(range(1, 11))

    async def test_a_send_may_follow_its_join(self, node: Node) -> None:
        room = "wire:follow"
        async with opened(node) as socket:
            await socket.say({"t": "join", "room": room}, send(room, "hi", 0, id="a"))
            await socket.until("joined")
            answers = [event for frame in socket.frames for event in frame if "ref" in event]
            for refused in answers:  # the room was just being opened
                assert (refused["t"], refused["code"]) == ("error", "unavailable")
                await asyncio.sleep(refused["retry_after"])
                await socket.say(send(room, "hi", 1, id="a"))
            [ack] = await socket.until("ack")
            assert ack["seq"] == 1

    async def test_without_a_join_it_is_refused(self, node: Node) -> None:
        async with opened(node) as socket:
            await socket.say(send("wire:none", "hi", 1))
            [refused] = await socket.until("error")
            assert (refused["code"], refused["ref"]) == ("not_joined", 1)
            assert "retry_after" not in refused

    async def test_what_cannot_be_read_has_no_ref(self, node: Node) -> None:
        async with opened(node) as socket:
            await socket.say("{", {"t": "dance", "ref": 7})
            unread, unknown = await socket.until("error", "error")
            assert (unread["code"], unread.get("ref")) == ("bad_request", None)
            assert (unknown["code"], unknown["ref"]) == ("unknown_command", 7)


class TestSendingAgain:
    async def test_under_the_same_id_it_is_there_once_on_the_next_connection_too(
        self, node: Node
    ) -> None:
        room = "wire:again"
        async with opened(node, f"?room={room}") as socket:
            [welcome, _] = await socket.until("welcome", "joined")
            await socket.say(send(room, "hi", 1, id="a"))
            [first] = await socket.until("ack")
        async with opened(node, f"?room={room}&guest={welcome['guest']}") as socket:
            await socket.until("joined")
            await socket.say(send(room, "hi", 2, id="a"), send(room, "ho", 3, id="b"))
            again, other = await socket.until("ack", "ack")
            assert (again["id"], again["seq"]) == (first["id"], 1)
            assert other["seq"] == 2
            assert other["id"] == f"{first['id'].rpartition('-')[0]}-2"

    @pytest.mark.parametrize(
        "other", [{"text": "ho"}, {"color": 1}, {"mode": "top"}, {"size": 30}], ids=str
    )
    async def test_with_anything_else_it_is_another_message(self, node: Node, other: Event) -> None:
        room = "wire:reused"
        async with opened(node, f"?room={room}") as socket:
            await socket.until("joined")
            await socket.say(send(room, "hi", 1, id="a"))
            await socket.until("ack")
            await socket.say(send(room, "hi", 2, id="a") | other)
            [refused] = await socket.until("error")
            assert (refused["code"], refused["ref"]) == ("id_reused", 2)
            assert "retry_after" not in refused


class TestPaging:
    async def test_the_next_older_page_ends_before_the_first_place(self, node: Node) -> None:
        room = "wire:pages"
        messages = [{"text": f"{i}"} for i in range(1, 8)]
        await asyncio.to_thread(node.request, "POST", f"/v1/rooms/{room}/messages", messages)
        async with opened(node, f"?room={room}") as socket:
            await socket.until("joined")
            texts: list[str] = []
            asked: Event = {"t": "history", "room": room, "limit": 3}
            more = True
            while more:
                await socket.say(asked)
                [page] = await socket.until("history")
                texts = [place["text"] for place in page["history"]] + texts
                asked, more = {**asked, "before": page["history"][0]["seq"]}, page["more"]
            assert texts == [message["text"] for message in messages]
