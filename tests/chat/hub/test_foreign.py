"""What only dialects that are not ours ask for, as clients of Centrifugo speak it."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain
from typing import Any, Self

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chat.bus.entries import Disconnected, pack
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET
from tests.chat.rig import Shard, publish, until

ROOM = "live:42"


def token(uid: str | None = "u7", ttl_s: int = 600, **claims: Any) -> str:
    named = {} if uid is None else {"sub": uid}
    return jwt.encode({**named, "exp": int(time.time()) + ttl_s, **claims}, SECRET, "HS256")


class Speaker:
    """A connection that says lines and keeps those it is told."""

    def __init__(self, shard: Shard) -> None:
        self.told: list[Any] = []
        self._address = shard.address.replace("/ws", "/connection/websocket")
        self._ids = 0
        self.socket: ClientConnection

    async def __aenter__(self) -> Self:
        self.socket = await connect(self._address, proxy=None, ping_interval=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def say(self, *commands: dict[str, Any]) -> None:
        await self.socket.send("\n".join(map(json.dumps, commands)))

    async def until(self, wanted: Any) -> Any:
        """The first told for which `wanted` holds."""
        while not (found := [one for one in self.told if wanted(one)]):
            frame = await self.socket.recv()
            assert isinstance(frame, str)
            self.told += map(json.loads, frame.split("\n"))
        return found[0]

    async def ask(self, method: str, **fields: Any) -> Any:
        """The result of a command, or its error."""
        self._ids += 1
        ref = self._ids
        await self.say({"id": ref, method: fields})
        reply = await self.until(lambda one: one.get("id") == ref)
        return reply.get("error") or reply[method]

    async def closed(self) -> int:
        with suppress(ConnectionClosed):
            while True:
                await self.until(lambda one: False)
        return self.socket.close_code or 0


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    sections: dict[str, Any] = {
        "server": {"dialects": ("danmaku", "centrifugal")},
        "auth": {"secret": SECRET, "guests": "type"},
        "limits": {"commands_burst": 200},
    }
    async with Shard(valkey.url, prefix, **sections) as shard:
        shard.wall = time.time()
        yield shard


class TestSubscriptions:
    async def test_one_is_enough_but_a_recovery_is_always_answered(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            told = await one.ask("subscribe", channel=ROOM)
            assert told["recoverable"]
            assert (await one.ask("subscribe", channel=ROOM))["code"] == 105
            again = await one.ask("subscribe", channel=ROOM, recover=True)
            assert (again["was_recovering"], again["recovered"]) == (True, True)

    async def test_all_of_a_frame_is_answered_the_connect_first(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            rooms = [f"r{n}" for n in range(4)]
            subscribes = [
                {"id": n, "subscribe": {"channel": name}} for n, name in enumerate(rooms, 2)
            ]
            await one.say({"id": 1, "connect": {}}, *subscribes)
            await one.until(lambda _: len(one.told) == 5)
            assert [told["id"] for told in one.told] == [1, 2, 3, 4, 5]

    async def test_what_stands_behind_a_subscribe_is_answered_behind_it(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a", "b")
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.say(
                {"id": 50, "subscribe": {"channel": ROOM}},
                {"id": 51, "history": {"channel": ROOM}},
                {"id": 52, "history": {"channel": ROOM, "limit": 1}},
                {"id": 53, "history": {"channel": ROOM}},
                {"id": 54, "subscribe": {"channel": ROOM, "recover": True}},
                {"id": 55, "history": {"channel": ROOM}},
            )
            await one.until(lambda told: told.get("id") == 55)
            told = {told["id"]: told for told in one.told[1:]}
            assert [ref for ref in told if ref in (50, 54)] == [50, 54]
            assert [ref for ref in told if ref not in (50, 54)] == [51, 52, 53, 55]
            assert list(told).index(50) < list(told).index(51)
            assert list(told).index(54) < list(told).index(55)
            assert all(told[ref]["history"]["offset"] == 2 for ref in (51, 52, 53, 55))

    @pytest.mark.parametrize("leaves", [False, True])
    async def test_one_again_waits_for_a_fan_out_that_it_may_be_in(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch, leaves: bool
    ) -> None:
        under_way = True
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.ask("subscribe", channel=ROOM)
            monkeypatch.setattr(shard.group, "fanning_out_in", lambda lane: under_way)
            if leaves:
                await one.ask("unsubscribe", channel=ROOM)
            await one.say({"id": 50, "subscribe": {"channel": ROOM, "recover": True}})
            await one.say({"id": 51, "subscribe": {"channel": "another"}})
            await until(lambda: "another" in shard.service.rooms.by_name)
            await until(lambda: shard.service.rooms.by_name["another"].live)
            assert await one.ask("ping") == {}
            assert not [told for told in one.told if told.get("id") in (50, 51)]
            under_way = False
            assert (await one.until(lambda told: told.get("id") == 50))["subscribe"]["recovered"]
            await one.until(lambda told: told.get("id") == 51)
            assert [told["id"] for told in one.told[-2:]] == [50, 51]
        await until(lambda: not shard.hub.foreign._left)

    async def test_who_is_ahead_of_a_shard_is_sent_nothing_twice(self, shard: Shard) -> None:
        """It comes from another shard, which has read more: it is in when this one has, too."""
        await publish(shard.store, ROOM, "a")
        async with Speaker(shard) as other, Speaker(shard) as one:
            await other.ask("connect")
            await other.ask("subscribe", channel=ROOM)
            await shard.service._reader.stop()
            await publish(shard.store, ROOM, "b", "c")
            room = shard.service.rooms.by_name[ROOM]
            assert room.position.seq == 1
            await one.ask("connect")
            back = {"channel": ROOM, "recover": True, "epoch": "e00001", "offset": 3}
            await one.say({"id": 50, "subscribe": back})
            await until(lambda: shard.service._resume._turns._queue._taken)
            stream = shard.store.keys.fanout(room.partition)
            found = await shard.store.servers.ask(stream, lambda pipe, on: pipe.xrange(stream))
            read = [(place, [*chain.from_iterable(entry.items())]) for place, entry in found]
            shard.service.rooms.deliver(read)
            await one.until(lambda told: told.get("id") == 50)
            assert await one.ask("ping") == {}
            assert [told.get("id", "push") for told in one.told] == [1, 50, 2]
            recovered = one.told[1]["subscribe"]
            assert (recovered["recovered"], recovered["offset"]) == (True, 3)
            assert not recovered.get("publications")

    async def test_an_unspoken_room_has_an_epoch_to_come_back_with(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            told = await one.ask("subscribe", channel=ROOM)
            epoch = told["epoch"]
            assert (epoch[0], told.get("offset", 0)) == ("~", 0)
            read = await one.ask("history", channel=ROOM, limit=0)
            assert (read["epoch"], read.get("offset", 0)) == (epoch, 0)
            back = {"channel": ROOM, "recover": True, "epoch": epoch}
            again = await one.ask("subscribe", **back)
            assert (again["recovered"], again["epoch"]) == (True, epoch)
            await publish(shard.store, ROOM, *"abcd")
            room = shard.service.rooms.by_name[ROOM]
            await until(lambda: room.position.seq == 4)  # as far as a page of history goes
            found = await one.ask("subscribe", **back, offset=2)
            assert (found["recovered"], found["epoch"]) == (True, "e00001")
            since = {"offset": 3, "epoch": epoch}
            page = await one.ask("history", channel=ROOM, limit=9, since=since)
            assert [pub["offset"] for pub in page["publications"]] == [4]

    async def test_and_that_is_over_when_everything_is_lost(self, shard: Shard, raw: Any) -> None:
        """The room has passed the client's offset again: what it has not is not all there is."""
        async with Speaker(shard) as one:
            await one.ask("connect")
            epoch = (await one.ask("subscribe", channel=ROOM))["epoch"]
            await publish(shard.store, ROOM, *"ab")
        keys, room = shard.store.keys, shard.service.rooms.by_name[ROOM]
        await raw.delete(keys.room(ROOM), keys.history(ROOM), keys.life(keys.partition(ROOM)))
        await shard.service.rooms.resync()
        await publish(shard.store, ROOM, *"wxyz", epoch="e00002")
        await until(lambda: room.live and room.position.epoch == "e00002")
        async with Speaker(shard) as one:
            await one.ask("connect")
            back = {"channel": ROOM, "recover": True, "offset": 2}
            for said in (epoch, "", "~"):
                told = await one.ask("subscribe", **back, epoch=said)
                assert (told["recovered"], told["epoch"]) == (False, "e00002")
            read = await one.ask("history", channel=ROOM, limit=0, since={"epoch": epoch})
            assert read["code"] == 112

    async def test_an_unspoken_room_is_told_anew_when_everything_is_lost(
        self, shard: Shard, raw: Any
    ) -> None:
        async with Speaker(shard) as one, Speaker(shard) as other:
            await one.ask("connect")
            await other.ask("connect")
            epoch = (await one.ask("subscribe", channel=ROOM))["epoch"]
            assert (await other.ask("subscribe", channel=ROOM))["epoch"] == epoch
            await raw.delete(shard.store.keys.life(shard.store.keys.partition(ROOM)))
            await shard.service.rooms.resync()
            told = await one.ask("subscribe", channel=ROOM, recover=True, epoch=epoch)
            assert (told["recovered"], told["epoch"] not in ("", epoch)) == (False, True)

    async def test_leaving_is_no_mistake_of_who_is_out_already(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.ask("subscribe", channel=ROOM)
            assert await one.ask("unsubscribe", channel=ROOM) == {}
            assert await one.ask("unsubscribe", channel=ROOM) == {}
            assert (await one.ask("publish", channel=ROOM, data="x"))["code"] == 103

    async def test_a_token_has_to_be_for_the_room_and_the_user(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect", token=token())
            for wrong, code in (
                (token(channel="other"), 103),
                (token("u8", channel=ROOM), 103),
                (token(None, channel=ROOM), 103),
                (token(), 103),
                ("nonsense", 103),
                (token(ttl_s=-60, channel=ROOM), 109),
            ):
                found = await one.ask("subscribe", channel=ROOM, token=wrong)
                assert found["code"] == code, found
            good = token(channel=ROOM)
            assert (await one.ask("subscribe", channel=ROOM, token=good))["positioned"]
            assert await one.ask("sub_refresh", channel=ROOM, token=good) == {}
            assert (await one.ask("sub_refresh", channel=ROOM, token=token()))["code"] == 103
            elsewhere = token(channel="other")
            assert (await one.ask("sub_refresh", channel="other", token=elsewhere))["code"] == 103

    async def test_a_guests_names_no_user(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            assert (await one.ask("subscribe", channel=ROOM, token=token(channel=ROOM)))["code"]
            mine = token(None, channel=ROOM)
            assert (await one.ask("subscribe", channel=ROOM, token=mine))["positioned"]


class TestHistory:
    async def test_is_for_who_is_in_the_room(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            assert (await one.ask("history", channel=ROOM, limit=1))["code"] == 103
            assert (await one.ask("presence_stats", channel=ROOM))["code"] == 103

    async def test_a_position_alone_needs_no_read(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a", "b")
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.ask("subscribe", channel=ROOM)
            here = {"publications": [], "epoch": "e00001", "offset": 2}
            assert await one.ask("history", channel=ROOM) == here
            since = {"epoch": "other", "offset": 1}
            assert (await one.ask("history", channel=ROOM, since=since))["code"] == 112

    @pytest.mark.parametrize(
        ("asked", "offsets"),
        [
            ({"limit": 2}, [1, 2]),
            ({"limit": 2, "reverse": True}, [4, 3]),
            ({"limit": 2, "since": {"offset": 1, "epoch": "e00001"}}, [2, 3]),
            ({"limit": 2, "since": {"offset": 4}}, []),
            ({"limit": 2, "since": {"offset": 2**53}, "reverse": True}, [4, 3]),
            ({"limit": -1, "since": {"offset": 3}, "reverse": True}, [2, 1]),
        ],
    )
    async def test_is_read_either_way(
        self, shard: Shard, asked: dict[str, Any], offsets: list[int]
    ) -> None:
        await publish(shard.store, ROOM, *"abcd")
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.ask("subscribe", channel=ROOM)
            found = await one.ask("history", channel=ROOM, **asked)
            assert [pub["offset"] for pub in found.get("publications", [])] == offsets
            assert found["offset"] == 4


class TestIntroductions:
    async def test_one_connects_once(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.say({"id": 5, "connect": {}})
            assert await one.closed() == 3501

    @pytest.mark.parametrize("first", [{"id": 1, "subscribe": {"channel": ROOM}}, {"send": {}}, {}])
    async def test_anything_else_first_ends_it(self, shard: Shard, first: Any) -> None:
        async with Speaker(shard) as one:
            await one.say(first, {"id": 2, "connect": {}})
            assert await one.closed() == 3501
            assert one.told == []


class TestPongs:
    async def test_one_nobody_asked_for_ends_it(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.say({})
            assert await one.closed() == 3501

    async def test_one_that_answers_keeps_it(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            shard.advance(shard.config.heartbeat.ping_s + 1)
            await one.until(lambda told: told == {})
            await one.say({})
            assert await one.ask("ping") == {}

    async def test_too_many_are_a_flood(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            shard.advance(shard.config.heartbeat.ping_s + 1)
            await one.until(lambda told: told == {})
            await one.say(*[{}] * 400)
            assert await one.closed() == 3503

    async def test_so_are_too_many_that_nobody_hears(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.say({"send": {}})
            assert await one.ask("ping") == {}
            await one.say(*[{"send": {"data": 1}}] * 400)
            assert await one.closed() == 3503

    async def test_nothing_is_done_for_who_was_closed_by_what_stood_before(
        self, shard: Shard
    ) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            await one.say({}, {"id": 5, "subscribe": {"channel": ROOM}})
            assert await one.closed() == 3501
        assert ROOM not in shard.service.rooms.by_name


class TestTokens:
    async def test_one_that_is_over_may_be_followed_by_another(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            assert (await one.ask("connect", token=token(ttl_s=-60)))["code"] == 109
            assert (await one.ask("connect", token=token()))["data"]["uid"] == "u7"

    async def test_who_does_not_come_with_another_is_sent_away(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            assert (await one.ask("connect", token=token(ttl_s=-60)))["code"] == 109
            shard.advance(shard.config.heartbeat.handshake_s + 1)
            assert await one.closed() == 3502

    async def test_one_is_refreshed_on_the_way(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            connected = await one.ask("connect", token=token(ttl_s=300))
            assert (connected["expires"], 290 <= connected["ttl"] <= 300) == (True, True)
            refreshed = await one.ask("refresh", token=token(ttl_s=900))
            assert 890 <= refreshed["ttl"] <= 900
            assert (await one.ask("refresh", token=token(ttl_s=-60)))["code"] == 109
            assert (await one.ask("refresh", token=token("u8")))["code"] == 103


class TestDismissed:
    async def test_no_empty_message_stands_before_the_close(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            connected = await one.ask("connect", token=token())
            assert connected["data"]["uid"] == "u7"
            await shard.store.notify(pack(Disconnected("u7", "", 1.0)))
            assert await one.closed() == 3503
            assert len(one.told) == 1

    async def test_nor_when_all_are_sent_away(self, shard: Shard) -> None:
        async with Speaker(shard) as one:
            await one.ask("connect")
            await until(lambda: shard.group.connections == 1)
            await shard.hub.drain(others=False)
            assert await one.closed() == 3001
            assert len(one.told) == 1
