"""Who connects or joins is asked about: what viewers are told, and what waits meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.entries import Noticed, pack
from chat.counters import ChatCount
from chat.hub import arrivals as module
from chat.ops.engine import EmbeddedEngine
from chat.policy.hooks import Refuse
from chat.policy.identity import Identity
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"


class Doorman:
    """Asks `doors` of the same name to be open, first."""

    doors: dict[str, asyncio.Event] = {}  # noqa: RUF012 - one shard at a time
    asked: list[str] = []  # noqa: RUF012
    unwanted: set[str] = set()  # noqa: RUF012

    async def on_connect(self, who: Identity) -> Refuse | None:
        return await self.ask(who.uid)

    async def on_join(self, who: Identity, room: str) -> Refuse | None:
        return await self.ask(room)

    async def ask(self, name: str) -> Refuse | None:
        self.asked.append(name.partition(":")[0])
        if name in self.doors:
            await self.doors[name].wait()
        if name.startswith("bad") or name in self.unwanted:
            return Refuse(f"{name} is not let in")
        if name.startswith("later"):
            return Refuse("come back", 12.5)
        if name.startswith("broken"):
            raise ValueError("a bug of the operator's")
        return None


class Usher:
    """Has a word on rooms only."""

    async def on_join(self, who: Identity, room: str) -> Refuse | None:
        return Refuse("closed") if room == "bad" else None


def settings(hooks: str = "Doorman", failing: str = "open") -> dict[str, Any]:
    rooms = {
        "hooks": f"{__name__}:{hooks}",
        "hooks_budget_ms": 5000,
        "hooks_failing": failing,
    }
    return {"rooms": rooms, "auth": {"secret": SECRET}}


def door(name: str) -> asyncio.Event:
    """What `name` waits for."""
    return Doorman.doors.setdefault(name, asyncio.Event())


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    Doorman.doors.clear()
    Doorman.asked.clear()
    Doorman.unwanted.clear()


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, **settings()) as shard:
        shard.wall = time.time()  # tokens are checked against the real one
        yield shard
        await until(lambda: not shard.hub.arrivals._waiting)
        assert not shard.hub.arrivals.newcomers


def told(viewer: Viewer) -> list[str]:
    return [event["t"] for event in viewer.events if event["t"] != "online"]


class TestConnecting:
    async def test_who_is_let_in_is_welcome_and_in_its_rooms(self, shard: Shard) -> None:
        async with shard.viewer(token("u7") + "&room=a&room=b") as viewer:
            await viewer.hear("joined", room="b")
            assert told(viewer) == ["welcome", "joined", "joined"]
            assert Doorman.asked == ["u7", "a", "b"]
            await viewer.say("a", "hi")

    async def test_guests_are_asked_about_too(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            assert Doorman.asked == ["guest"]

    async def test_nobody_is_told_or_does_anything_before(self, shard: Shard) -> None:
        door("u7")
        async with shard.viewer(token("u7") + f"&room={ROOM}") as viewer, shard.viewer() as other:
            await other.join(ROOM)
            await other.join("b")
            await viewer.do("send", room=ROOM, text="one", ref=1)
            await viewer.do("ping", ref=2)
            await viewer.do("join", room="b", ref=3)
            await viewer.do("send", room="b", text="two", ref=4)
            await until(lambda: len(shard.hub.arrivals._waiting) == 1)
            for users in (None, ["u7"]):
                await shard.store.notify(pack(Noticed(users, "sys", "hi", 1, 2)))
            await other.hear("notice")
            await other.say(ROOM, "before")
            waits = shard.hub.arrivals._waiting
            await until(lambda: len(next(iter(waits.values())).commands) == 4)
            assert viewer.events == []
            assert shard.group.connections == 2
            door("u7").set()
            await viewer.hear("ack", ref=4)
            await viewer.hear("ack", ref=1)
            assert told(viewer)[:2] == ["welcome", "joined"]
            refs = [event["ref"] for event in viewer.events if event.get("ref") in (2, 3)]
            assert refs == [2, 3]

    async def test_who_is_refused_is_told_why_and_closed(self, shard: Shard) -> None:
        async with shard.viewer(token("bad") + f"&room={ROOM}") as viewer:
            assert await viewer.closed() == 1008
            [error] = viewer.events
            assert (error["code"], error["message"]) == ("forbidden", "bad is not let in")
        assert ROOM not in shard.service.rooms.by_name
        assert shard.count(ChatCount.REFUSED_BY_HOOK) == 1

    async def test_who_is_to_come_back_is_told_when(self, shard: Shard) -> None:
        async with shard.viewer(token("later")) as viewer:
            assert await viewer.closed() == 4000
            assert viewer.events == [{"t": "bye", "reason": "come back", "reconnect_in": 12.5}]

    async def test_who_goes_meanwhile_is_forgotten(self, shard: Shard) -> None:
        door("u7")
        async with shard.viewer(token("u7")) as viewer:
            await viewer.do("ping")
            await until(lambda: "u7" in Doorman.asked)
        await until(lambda: shard.group.connections == 0)
        assert not shard.hub.arrivals._waiting
        assert not shard.hub.arrivals.newcomers
        door("u7").set()

    async def test_who_comes_next_on_the_same_descriptor_gets_its_own_answer(
        self, shard: Shard
    ) -> None:
        async with shard.viewer() as first:
            conn = (await first.hear("welcome"))["conn"]
            door("u7")
            await first.do("auth", token=token("u7").removeprefix("?token="))
            await until(lambda: "u7" in Doorman.asked)
        async with shard.successor(conn) as second:
            door("u7").set()
            await second.settle()
            assert told(second) == ["welcome", "pong"]

    async def test_too_many_commands_are_refused(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_WAITING", 3)
        door("u7")
        async with shard.viewer(token("u7")) as viewer:
            for ref in range(5):
                await viewer.do("ping", ref=ref)
            for ref in (3, 4):
                error = await viewer.hear("error", ref=ref)
                assert (error["code"], error["retry_after"]) == ("rate_limited", 1.0)
            door("u7").set()
            await viewer.hear("pong", ref=2)
        assert shard.count(ChatCount.REFUSED_RATE_LIMITED) == 2

    async def test_a_shard_that_ends_waits_for_nobody(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Shard(valkey.url, prefix, **settings()) as shard:
            shard.wall = time.time()
            door("u7")
            async with shard.viewer(token("u7")) as viewer:
                await until(lambda: "u7" in Doorman.asked)
                await shard.hub.drain(others=False)
                assert await viewer.closed() == 4000


class TestFailing:
    @pytest.mark.parametrize("failing", ["open", "closed"])
    async def test_a_hook_that_fails_lets_in_or_not(
        self, valkey: EmbeddedEngine, prefix: str, failing: str
    ) -> None:
        async with Shard(valkey.url, prefix, **settings(failing=failing)) as shard:
            shard.wall = time.time()
            async with shard.viewer(token("broken")) as viewer:
                if failing == "open":
                    await viewer.hear("welcome")
                    assert (await viewer.join("broken"))["room"] == "broken"
                    assert shard.count(ChatCount.PASSED_UNCHECKED) == 2
                    return
                assert await viewer.closed() == 4000  # to be tried again, with a back-off
                [error] = viewer.events
                assert (error["code"], error["retry_after"]) == ("unavailable", 1.0)
                assert shard.count(ChatCount.REFUSED_UNCHECKED) == 1

    async def test_an_error_of_ours_closes_that_one_connection(
        self, valkey: EmbeddedEngine, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shard = Shard(valkey.url, prefix, **settings())
        async with shard:
            shard.wall = time.time()
            door("u7")
            async with shard.viewer(token("u7")) as viewer, shard.viewer() as other:

                def fail(fd: int, command: object) -> None:
                    raise ValueError("ours")

                monkeypatch.setattr(shard.hub.arrivals, "_obey", fail)
                await viewer.do("ping")
                waits = shard.hub.arrivals._waiting
                await until(lambda: any(one.commands for one in waits.values()))
                door("u7").set()
                assert await viewer.closed() == 1011
                await other.settle()
            await until(lambda: shard.errors.found)
            assert "arrivals" in shard.errors.found.pop()


class TestJoining:
    async def test_rooms_in_the_address_are_asked_about_one_by_one(self, shard: Shard) -> None:
        async with shard.viewer("?room=a&room=bad&room=b&room=a&room=x%20y") as viewer:
            await viewer.hear("joined", room="b")
            assert [error["code"] for error in viewer.of("error")] == ["forbidden", "bad_room"]
            assert Doorman.asked == ["guest", "a", "bad", "b"]
            assert "bad" not in shard.service.rooms.by_name

    async def test_a_join_that_is_refused_is_an_error_and_no_more(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            for room, after in (("bad", None), ("later", 12.5)):
                error = await viewer.ask("join", room=room)
                assert (error["code"], error.get("retry_after")) == ("forbidden", after)
                assert (await viewer.ask("send", room=room, text="x"))["code"] == "not_joined"
            await viewer.join("a")
            assert shard.service.rooms.by_name.keys() == {"a"}

    async def test_what_follows_a_join_comes_after_it(self, shard: Shard) -> None:
        async with shard.viewer("?room=a&room=b") as other, shard.viewer() as viewer:
            for room in ("a", "b"):
                await other.hear("joined", room=room)  # so that it is open
            await viewer.hear("welcome")
            Doorman.asked.clear()
            door("a")
            await viewer.do("join", room="a", ref=1)
            await viewer.do("send", room="a", text="hi", ref=2)
            await viewer.do("join", room="b", ref=3)
            await viewer.do("leave", room="a", ref=4)
            await viewer.do("ping", ref=5)
            await until(lambda: "a" in Doorman.asked)
            assert "b" not in Doorman.asked
            door("a").set()
            await viewer.hear("pong", ref=5)
            await viewer.hear("ack", ref=2)
            answers = [e["ref"] for e in viewer.events if e.get("ref") in (1, 3, 4, 5)]
            assert answers == [1, 3, 4, 5]

    async def test_who_is_in_it_is_not_asked_about_again(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join("a")
            await viewer.join("a")
            assert (await viewer.ask("join", room="x y"))["code"] == "bad_room"
            assert Doorman.asked == ["guest", "a"]

    async def test_who_has_a_word_on_rooms_only_is_asked_about_rooms(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with (
            Shard(valkey.url, prefix, **settings("Usher")) as shard,
            shard.viewer("?room=bad&room=a") as viewer,
        ):
            await viewer.hear("joined", room="a")
            assert told(viewer) == ["welcome", "error", "joined"]


class TestBecomingSomebodyElse:
    async def test_a_guest_that_says_who_it_is_is_asked_about(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            authed = await viewer.ask("auth", token=token("u7").removeprefix("?token="))
            assert authed["uid"] == "u7"
            await viewer.ask("auth", token=token("u7").removeprefix("?token="))
            assert Doorman.asked == ["guest", "u7"]
            assert (await viewer.ask("auth", token="nonsense"))["code"] == "forbidden"

    async def test_who_is_refused_so_is_closed(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            error = await viewer.ask("auth", token=token("bad").removeprefix("?token="))
            assert error["code"] == "forbidden"
            assert await viewer.closed() == 1008


class TestOneConnectionAUser:
    """Where a user may have only one, it is kept until another is let in."""

    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        config = settings()
        config["auth"]["devices"] = "replace"
        async with Shard(valkey.url, prefix, **config) as shard:
            shard.wall = time.time()
            yield shard

    @staticmethod
    async def is_kept(shard: Shard, viewer: Viewer) -> None:
        devices = shard.service._devices
        assert devices is not None
        await devices._idle.wait()
        await viewer.settle()
        assert (viewer.close_code, shard.count(ChatCount.DEVICES_REPLACED)) == (0, 0)

    async def test_who_waits_replaces_nobody_yet(self, shard: Shard) -> None:
        async with shard.viewer(token("u7")) as old:
            await old.hear("welcome")
            door("u7")
            async with shard.viewer(token("u7")) as new:
                await until(lambda: Doorman.asked == ["u7", "u7"])
                await self.is_kept(shard, old)
                door("u7").set()
                await new.hear("welcome")
                assert await old.closed() == 4506

    async def test_who_is_refused_replaces_nobody(self, shard: Shard) -> None:
        async with shard.viewer(token("u7")) as old, shard.viewer() as guest:
            await old.hear("welcome")
            await guest.hear("welcome")
            Doorman.unwanted.add("u7")
            async with shard.viewer(token("u7")) as new:
                assert await new.closed() == 1008
            await guest.ask("auth", token=token("u7").removeprefix("?token="))
            assert await guest.closed() == 1008
            await self.is_kept(shard, old)

    async def test_a_guest_that_becomes_the_user_replaces_it(self, shard: Shard) -> None:
        async with shard.viewer(token("u7")) as old, shard.viewer() as guest:
            await old.hear("welcome")
            await guest.hear("welcome")
            await guest.ask("auth", token=token("u7").removeprefix("?token="))
            assert await old.closed() == 4506


async def test_who_is_not_let_in_has_not_come(valkey: EmbeddedEngine, prefix: str) -> None:
    config = settings() | {"webhooks": {"url": "http://127.0.0.1:1/", "events": ("connected",)}}
    async with Shard(valkey.url, prefix, **config) as shard:
        shard.wall = time.time()
        presence = shard.service._presence
        assert presence is not None
        async with shard.viewer(token("bad")) as viewer:
            assert await viewer.closed() == 1008
        async with shard.viewer(token("u7")) as viewer:
            await viewer.hear("welcome")
            assert [one["uid"] for one in presence._waiting] == ["u7"]


class TestWatchers:
    async def stream(self, shard: Shard, query: str) -> asyncio.StreamReader:
        host, port = shard.address.removeprefix("ws://").removesuffix("/ws").split(":")
        reader, self.writer = await asyncio.open_connection(host, int(port))
        self.writer.write(f"GET /sse{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        return reader

    async def test_one_is_served_once_it_is_let_in(self, shard: Shard) -> None:
        door("u7")
        reader = await self.stream(shard, token("u7") + "&room=a")
        assert b"retry" in await reader.readuntil(b"\n\n")
        await until(lambda: "u7" in Doorman.asked)
        door("u7").set()
        first = (await reader.readuntil(b"\n\n")).decode()
        assert '"welcome"' in first
        assert '"joined"' in first or '"joined"' in (await reader.readuntil(b"\n\n")).decode()
        self.writer.close()
        await until(lambda: shard.group.connections == 0)

    @pytest.mark.parametrize(
        ("query", "code"),
        [(token("bad") + "&room=a", 1008), ("?room=a&room=bad", 1008), ("?room=later", 4000)],
    )
    async def test_one_that_cannot_be_served_whole_is_ended(
        self, shard: Shard, query: str, code: int
    ) -> None:
        reader = await self.stream(shard, query)
        rest = (await reader.read()).decode()
        assert f'event: close\ndata: {{"code":{code},' in rest
        assert '"welcome"' not in rest
        self.writer.close()
