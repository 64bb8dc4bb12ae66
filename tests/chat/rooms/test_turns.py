"""Joins of rooms that are still to be opened: answered in the order they were asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.store import RoomState
from chat.ops.engine import EmbeddedEngine
from chat.rooms.room import Room
from tests.chat.rig import Event, Shard, Viewer, publish, until

ROOMS = ("a", "b", "c")


class Doors:
    """Redis, which answers about each room when that is opened, or that it is away."""

    def __init__(self, shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shard = shard
        self._open = {name: asyncio.Event() for name in ROOMS}
        self._away: set[str] = set()
        self._ask = shard.store.open_room
        monkeypatch.setattr(shard.store, "open_room", self._open_room)

    async def _open_room(self, name: str, *args: Any, **options: Any) -> RoomState:
        if name in self._open:
            await self._open[name].wait()
        if name in self._away:
            raise StoreError("away")
        return await self._ask(name, *args, **options)

    async def open(self, *names: str) -> None:
        """These can be had from here on."""
        rooms = self._shard.service.rooms.by_name
        for name in names:
            self._open[name].set()
            await until(partial(_is_live, rooms, name))

    async def lose(self, name: str) -> None:
        """This one cannot be had."""
        self._away.add(name)
        self._open[name].set()


def _is_live(rooms: dict[str, Room], name: str) -> bool:
    return name in rooms and rooms[name].live


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"guests": "type"}) as shard:
        yield shard


@pytest.fixture
def doors(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> Doors:
    return Doors(shard, monkeypatch)


async def joins(viewer: Viewer, *rooms: str) -> None:
    """Ask for rooms, one behind the other; each join has its room's name as `ref`."""
    for room in rooms:
        await viewer.do("join", room=room, ref=room)


def answers(viewer: Viewer) -> list[tuple[str, Any]]:
    kinds = ("joined", "error", "left", "history")
    return [(event["t"], event.get("ref")) for event in viewer.events if event["t"] in kinds]


async def answered(viewer: Viewer, count: int) -> list[tuple[str, Any]]:
    await until(lambda: len(answers(viewer)) >= count, f"{count} answers")
    return answers(viewer)


class TestOrder:
    async def test_rooms_that_open_the_other_way_round(self, shard: Shard, doors: Doors) -> None:
        async with shard.viewer() as viewer:
            await joins(viewer, *ROOMS)
            await until(lambda: len(shard.service.rooms.by_name) == 3)
            await doors.open("c", "b")
            await viewer.settle()
            assert answers(viewer) == []
            await doors.open("a")
            assert await answered(viewer, 3) == [("joined", room) for room in ROOMS]

    async def test_one_that_is_open_waits_behind_one_that_is_not(
        self, shard: Shard, doors: Doors
    ) -> None:
        async with shard.viewer() as other, shard.viewer() as viewer:
            await other.join("open")
            await joins(viewer, "a", "open", "b")
            await other.join("another")
            await viewer.settle()
            assert answers(viewer) == []
            await doors.open("b", "a")
            assert await answered(viewer, 3) == [("joined", room) for room in ("a", "open", "b")]

    async def test_of_one_frame(self, shard: Shard, doors: Doors) -> None:
        """As a client sends them that pipelines: nothing stands between two of them."""
        async with shard.viewer() as viewer:
            commands = [{"t": "join", "room": room, "ref": room} for room in (*ROOMS, *ROOMS)]
            await asyncio.gather(*(viewer.raw(json.dumps(command)) for command in commands))
            await until(lambda: len(shard.service.rooms.by_name) == 3)
            await doors.open(*reversed(ROOMS))
            order = [("joined", room) for room in (*ROOMS, *ROOMS)]
            assert await answered(viewer, 6) == order

    async def test_others_do_not_wait_for_it(self, shard: Shard, doors: Doors) -> None:
        async with shard.viewer() as viewer, shard.viewer() as other:
            await joins(viewer, "a", "b")
            await joins(other, "b")
            await until(lambda: len(shard.service.rooms.by_name) == 2)
            await doors.open("b")
            assert await answered(other, 1) == [("joined", "b")]
            assert answers(viewer) == []
            await doors.open("a")
            assert await answered(viewer, 2) == [("joined", "a"), ("joined", "b")]

    async def test_an_address_has_no_part_in_it(self, shard: Shard, doors: Doors) -> None:
        """Who asked by it may wait for very long, and what it asks for now does not."""
        async with shard.viewer("?room=a") as viewer:
            await joins(viewer, "b")
            await doors.open("b")
            assert await answered(viewer, 1) == [("joined", "b")]
            await doors.open("a")
            assert await answered(viewer, 2) == [("joined", "b"), ("joined", None)]


class TestWithoutAnAnswer:
    async def test_who_leaves_holds_up_nothing(self, shard: Shard, doors: Doors) -> None:
        async with shard.viewer() as viewer:
            await joins(viewer, "a", "b")
            await until(lambda: len(shard.service.rooms.by_name) == 2)
            await doors.open("b")
            assert (await viewer.ask("leave", room="a"))["t"] == "left"
            await viewer.hear("joined", ref="b")
            await doors.open("a")
            await viewer.settle()
            assert [ref for kind, ref in answers(viewer) if kind == "joined"] == ["b"]

    async def test_nor_does_a_room_that_cannot_be_had(self, shard: Shard, doors: Doors) -> None:
        async with shard.viewer() as viewer:
            await joins(viewer, "a", "b", "c")
            await until(lambda: len(shard.service.rooms.by_name) == 3)
            await doors.open("c", "b")
            await doors.lose("a")
            told: list[Event] = [await viewer.hear("error", ref="a")]
            assert (told[0]["code"], told[0]["retry_after"] > 0) == ("unavailable", True)
            order = [("error", "a"), ("joined", "b"), ("joined", "c")]
            assert await answered(viewer, 3) == order
        await until(lambda: "a" not in shard.service.rooms.by_name)

    async def test_who_closes_leaves_nothing(self, shard: Shard, doors: Doors) -> None:
        async with shard.viewer() as viewer:
            await joins(viewer, *ROOMS)
            await until(lambda: len(shard.service.rooms.by_name) == 3)
        await until(lambda: not shard.group.connections)
        await doors.open(*ROOMS)
        rooms = shard.service.rooms.by_name.values()
        await until(lambda: not any(room.resuming or room.waiting for room in rooms))
        assert not shard.service._resume._turns._queue._lines


class TestPages:
    async def test_one_waits_for_the_join_of_its_room(self, shard: Shard, doors: Doors) -> None:
        await publish(shard.store, "a", "said")
        async with shard.viewer() as viewer:
            await joins(viewer, "a")
            await viewer.do("history", room="a", ref="page")
            await viewer.settle()
            assert answers(viewer) == []
            await doors.open("a")
            assert await answered(viewer, 2) == [("joined", "a"), ("history", "page")]

    async def test_and_is_refused_with_it(self, shard: Shard, doors: Doors) -> None:
        async with shard.viewer() as viewer:
            await joins(viewer, "a")
            await viewer.do("history", room="a", ref="page")
            await until(lambda: "a" in shard.service.rooms.by_name)
            await doors.lose("a")
            assert await answered(viewer, 2) == [("error", "a"), ("error", "page")]
            assert viewer.of("error")[1]["code"] == "not_joined"

    async def test_where_the_address_asked_for_the_room_it_is_asked_again(
        self, shard: Shard, doors: Doors
    ) -> None:
        async with shard.viewer("?room=a") as viewer:
            refused = await viewer.ask("history", room="a")
            assert (refused["code"], refused["retry_after"] > 0) == ("unavailable", True)
            await doors.open("a")
            await viewer.hear("joined")
            assert (await viewer.ask("history", room="a"))["t"] == "history"
