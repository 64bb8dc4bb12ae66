"""Mutes, bans and kicks on two shards: enforced on both, told to who goes, over by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chat.bus.audit import Audit
from chat.bus.rules import Rules
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.identity import BACKEND
from chat.policy.moderation import KICKED_S, Moderation, Outcome
from chat.policy.orders import Actor, Everywhere, Order
from chat.policy.rules import Sanction, pack_sanction
from chat.wire.commands import Moderate
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until
from tests.patience import PATIENCE_S

ROOM = "live:42"
API = Actor("api", "api", BACKEND, "api")
NO_STATE = {
    "slow_s": 0,
    "silence": "none",
    "no_repeats_s": 0,
    "min_role": "guest",
    "pinned": None,
    "announcement": None,
}


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[tuple[Shard, Shard]]:
    auth = {"secret": SECRET}
    async with Shard(valkey.url, prefix, auth=auth) as a, Shard(valkey.url, prefix, auth=auth) as b:
        yield a, b


@pytest.fixture
def shard(shards: tuple[Shard, Shard]) -> Shard:
    return shards[0]


async def order(shard: Shard, what: Order) -> Outcome:
    """What a backend asks for."""
    audit = Audit(shard.store, 1_000)
    limits = shard.config.limits
    return await Moderation(shard.store, limits, audit, lambda: shard.wall).act(what, API)


async def closed_with(viewer: Viewer) -> tuple[int, str]:
    code = await viewer.closed()
    received = viewer._socket.protocol.close_rcvd
    assert received is not None
    return code, received.reason


async def turned_away(address: str) -> tuple[int, str]:
    """With what a new connection is closed right after the upgrade."""
    async with connect(address, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as found:
            await socket.recv()
    assert found.value.rcvd is not None
    return found.value.rcvd.code, found.value.rcvd.reason


async def watch(shard: Shard, query: str) -> tuple[int, str]:
    """How an event stream is answered."""

    def ask() -> tuple[int, str]:
        where = urlsplit(shard.address)
        asked = HTTPConnection(str(where.hostname), where.port, timeout=PATIENCE_S)
        with closing(asked) as connection:
            connection.request("GET", f"/sse{query}")
            with connection.getresponse() as response:
                text = response.read().decode() if response.status != 200 else ""
                return response.status, text

    return await asyncio.to_thread(ask)


class TestMutes:
    async def test_hold_on_every_shard_and_end_by_themselves(
        self, shards: tuple[Shard, Shard]
    ) -> None:
        async with (
            shards[0].viewer(token("u1")) as here,
            shards[1].viewer(token("u1")) as there,
            shards[1].viewer(token("u2")) as other,
        ):
            for viewer in (here, there, other):
                await viewer.join(ROOM)
            await order(shards[0], Moderate(ROOM, "mute", uid="u1", seconds=60, reason="spam"))
            await until(lambda: all(one.hub._book.of(ROOM).sanctions for one in shards))
            for viewer in (here, there):
                error = await viewer.ask("send", room=ROOM, text="x")
                assert (error["code"], error["retry_after"]) == ("muted", 60)
                assert "spam" in error["message"]
            await other.say(ROOM, "I may")
            shards[0].wall += 59
            error = await here.ask("send", room=ROOM, text="x")
            assert (error["code"], error["retry_after"]) == ("muted", 1)
            shards[0].wall += 1
            await here.say(ROOM, "again")
        assert shards[0].count(ChatCount.REFUSED_MUTED) == 2

    async def test_for_good_and_lifted(self, shard: Shard) -> None:
        async with shard.viewer(token("u1")) as viewer:
            await viewer.join(ROOM)
            await order(shard, Moderate(ROOM, "mute", uid="u1"))
            await until(lambda: shard.hub._book.of(ROOM).sanctions)
            error = await viewer.ask("send", room=ROOM, text="x")
            assert (error["code"], error.get("retry_after")) == ("muted", None)
            await order(shard, Moderate(ROOM, "unmute", uid="u1"))
            await until(lambda: not shard.hub._book.of(ROOM).sanctions)
            await viewer.say(ROOM, "again")

    async def test_everywhere_and_the_longer_one_counts(self, shard: Shard) -> None:
        async with shard.viewer(token("u1")) as viewer:
            await viewer.join(ROOM)
            await viewer.join("other")
            await order(shard, Everywhere("mute", "u1", seconds=100))
            await order(shard, Moderate(ROOM, "mute", uid="u1", seconds=50))
            await until(lambda: shard.hub._book.of(ROOM).sanctions)
            await until(lambda: shard.hub._book.everywhere.sanctions)
            for room in (ROOM, "other"):
                error = await viewer.ask("send", room=room, text="x")
                assert (error["code"], error["retry_after"]) == ("muted", 100)

    async def test_a_guest_is_muted_by_its_uid_and_its_key_keeps_that(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            welcome = await viewer.hear("welcome")
            await viewer.join(ROOM)
            await order(shard, Moderate(ROOM, "mute", uid=welcome["uid"]))
            await until(lambda: shard.hub._book.of(ROOM).sanctions)
            assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "muted"
        async with shard.viewer(f"?guest={welcome['guest']}") as viewer:
            await viewer.join(ROOM)
            assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "muted"

    @pytest.mark.parametrize("binary", [False, True])
    async def test_who_joins_is_told_and_nobody_else(self, shard: Shard, binary: bool) -> None:
        async with shard.viewer(token("u2"), binary=binary) as other:
            assert (await other.join(ROOM))["state"] == NO_STATE
            await order(shard, Moderate(ROOM, "mute", uid="u1", seconds=60))
            await until(lambda: shard.hub._book.of(ROOM).sanctions)
            until_ms = int((shard.wall + 60) * 1000)
            async with shard.viewer(token("u1") + f"&room={ROOM}", binary=binary) as viewer:
                joined = await viewer.hear("joined")
                assert joined["state"] == {**NO_STATE, "muted_until": until_ms}
                assert (await viewer.join(ROOM))["state"]["muted_until"] == until_ms
                since = (joined["epoch"], 0)
                assert (await viewer.join(ROOM, since))["state"]["muted_until"] == until_ms
            assert (await other.join(ROOM))["state"] == NO_STATE
            await order(shard, Moderate(ROOM, "mute", uid="u2"))
            await until(lambda: len(shard.hub._book.of(ROOM).sanctions["mute"]) == 2)
            assert (await other.join(ROOM))["state"]["muted_until"] == 0

    async def test_before_a_rooms_rules_are_known_nobody_types(self, shard: Shard) -> None:
        await order(shard, Moderate(ROOM, "mute", uid="u1"))
        async with shard.viewer(token("u1")) as viewer:
            await viewer.hear("welcome")
            await viewer.do("join", room=ROOM, ref=1)
            await viewer.do("send", room=ROOM, text="x", ref=2)
            error = await viewer.hear("error", ref=2)
            assert error["code"] in ("unavailable", "muted")
            await viewer.hear("joined", ref=1)
            assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "muted"


class TestBansFromARoom:
    async def test_send_out_of_it_on_every_shard(self, shards: tuple[Shard, Shard]) -> None:
        async with (
            shards[0].viewer(token("u1")) as here,
            shards[1].viewer(token("u1"), binary=True) as there,
            shards[1].viewer(token("u2")) as other,
        ):
            for viewer in (here, there, other):
                await viewer.join(ROOM)
                await viewer.join("elsewhere")
            await order(shards[1], Moderate(ROOM, "ban", uid="u1", seconds=60, reason="spam"))
            for viewer in (here, there):
                left = await viewer.hear("left")
                assert left == {"t": "left", "room": ROOM, "reason": "banned: spam"}
                assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "not_joined"
                error = await viewer.ask("join", room=ROOM)
                assert (error["code"], error["retry_after"]) == ("banned", 60)
                await viewer.say("elsewhere", "I may")
            await other.say(ROOM, "unheard")
            await other.hear("msg", text="unheard")
            for viewer in (here, there):
                await viewer.settle()
                assert "unheard" not in viewer.texts
            shards[0].wall += 60
            await here.join(ROOM)
        assert shards[0].count(ChatCount.SENT_OUT) == 1

    async def test_in_the_address_are_answered(self, shard: Shard) -> None:
        await order(shard, Moderate(ROOM, "ban", uid="u1"))
        async with shard.viewer(token("u1") + f"&room={ROOM}&room=other") as viewer:
            await viewer.hear("joined", room="other")
            error = await viewer.hear("error")
            assert (error["code"], error.get("retry_after")) == ("banned", None)
            await viewer.settle()
            assert len(viewer.of("joined")) == 1
            assert shard.service.rooms.by_name[ROOM].local == 0

    async def test_a_join_that_waits_for_the_room_is_answered_once(self, shard: Shard) -> None:
        await order(shard, Moderate(ROOM, "ban", uid="u1"))
        async with shard.viewer(token("u1")) as viewer:
            await viewer.hear("welcome")
            for ref in (1, 2):
                await viewer.do("join", room=ROOM, ref=ref)
            for ref in (1, 2):
                assert (await viewer.hear("error", ref=ref))["code"] == "banned"
            await viewer.settle()
            assert viewer.of("joined") == viewer.of("left") == []

    async def test_an_event_stream_is_refused(self, shard: Shard) -> None:
        await order(shard, Moderate(ROOM, "ban", uid="u1"))
        async with shard.viewer(f"?room={ROOM}") as other:  # so the rules are known
            await other.hear("joined")
            status, text = await watch(shard, token("u1") + f"&room={ROOM}")
            assert (status, "banned" in text) == (403, True)

    async def test_who_becomes_one_who_is_banned_leaves(self, shard: Shard) -> None:
        async with shard.viewer(f"?room={ROOM}") as viewer:
            await viewer.hear("joined")
            await order(shard, Moderate(ROOM, "ban", uid="u1"))
            await until(lambda: shard.hub._book.of(ROOM).sanctions)
            bearer = token("u1").removeprefix("?token=")
            await viewer.ask("auth", token=bearer)
            assert (await viewer.hear("left"))["reason"] == "banned"


class TestKicks:
    async def test_send_out_for_a_minute(self, shards: tuple[Shard, Shard]) -> None:
        async with shards[0].viewer(token("u1")) as viewer:
            await viewer.join(ROOM)
            await order(shards[1], Moderate(ROOM, "kick", uid="u1"))
            assert (await viewer.hear("left"))["reason"] == "kicked"
            error = await viewer.ask("join", room=ROOM)
            assert (error["code"], error["retry_after"]) == ("forbidden", KICKED_S)
        async with shards[1].viewer(token("u1")) as viewer:  # where the room was not open
            error = await viewer.ask("join", room=ROOM)
            assert (error["code"], error["retry_after"]) == ("forbidden", KICKED_S)
            shards[1].wall += KICKED_S
            await viewer.join(ROOM)

    async def test_from_everywhere_closes_and_says_when_to_come_back(
        self, shards: tuple[Shard, Shard]
    ) -> None:
        async with (
            shards[0].viewer(token("u1")) as here,
            shards[1].viewer(token("u1"), binary=True) as there,
            shards[1].viewer(token("u2")) as other,
        ):
            for viewer in (here, there, other):
                await viewer.hear("welcome")
            await order(shards[0], Everywhere("kick", "u1", reason="too many"))
            for viewer in (here, there):
                assert await closed_with(viewer) == (4505, "kicked: too many")
                [bye] = viewer.of("bye")
                assert bye["reconnect_in"] > 0
            await other.settle()


class TestBansFromEverywhere:
    async def test_close_and_keep_out(self, shards: tuple[Shard, Shard]) -> None:
        async with (
            shards[0].viewer(token("u1")) as here,
            shards[1].viewer(token("u1")) as there,
            shards[1].viewer(token("u2")) as other,
        ):
            for viewer in (here, there, other):
                await viewer.hear("welcome")
            await order(shards[0], Everywhere("ban", "u1", reason="bot", seconds=60))
            for viewer in (here, there):
                assert await closed_with(viewer) == (4504, "banned: bot")
            for shard in shards:
                assert await turned_away(shard.address + token("u1")) == (4504, "banned: bot")
                assert await watch(shard, token("u1") + "&room=a") == (403, "banned: bot\n")
            await other.settle()
            shards[0].wall += 60
            async with shards[0].viewer(token("u1")) as viewer:
                await viewer.hear("welcome")

    async def test_who_becomes_one_of_them_is_closed(self, shard: Shard) -> None:
        await order(shard, Everywhere("ban", "u1"))
        await until(lambda: shard.hub._book.everywhere.sanctions)
        async with shard.viewer() as viewer:
            await viewer.do("auth", token=token("u1").removeprefix("?token="))
            assert await closed_with(viewer) == (4504, "banned")

    async def test_hold_in_a_shard_that_begins_later(
        self, shard: Shard, valkey: EmbeddedEngine
    ) -> None:
        await order(shard, Everywhere("ban", "u1"))
        async with Shard(valkey.url, shard.prefix, auth={"secret": SECRET}) as later:
            assert await turned_away(later.address + token("u1")) == (4504, "banned")

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1"])
    async def test_of_an_address(self, shards: tuple[Shard, Shard], address: str) -> None:
        async with shards[0].viewer() as here, shards[1].viewer(token("u1")) as there:
            await here.hear("welcome")
            await there.hear("welcome")
            await order(shards[0], Everywhere("ban", address="10.0.0.0/8"))
            await order(shards[0], Everywhere("ban", address=address, reason="bots"))
            for viewer in (here, there):
                assert await closed_with(viewer) == (4504, "banned: bots")
        assert await turned_away(shards[1].address) == (4504, "banned: bots")
        await order(shards[0], Everywhere("unban", address=address))
        await until(lambda: len(shards[1].hub._book.everywhere.sanctions["address"]) == 1)
        async with shards[1].viewer() as viewer:
            await viewer.hear("welcome")


class TestMany:
    """More are banned than are here: those who are here are looked at."""

    @pytest.mark.parametrize("everywhere", [False, True])
    async def test_only_who_is_banned_has_to_go(self, shard: Shard, everywhere: bool) -> None:
        name = None if everywhere else ROOM
        async with shard.viewer(token("u7")) as viewer, shard.viewer(token("u8")) as other:
            await viewer.join(ROOM)
            await other.join(ROOM)
            banned: dict[str, bytes | None] = {
                f"ban:u{i}": pack_sanction(Sanction(0)) for i in range(8)
            }
            await Rules(shard.store).change(name, banned)
            if everywhere:
                assert await viewer.closed() == 4504
            else:
                assert (await viewer.hear("left"))["reason"] == "banned"
            await other.say(ROOM, "I may")
            assert shard.count(ChatCount.SENT_OUT) == 1

    async def test_likewise_who_waits_for_the_room(self, shard: Shard) -> None:
        banned: dict[str, bytes | None] = {
            f"ban:u{i}": pack_sanction(Sanction(0)) for i in range(8)
        }
        await Rules(shard.store).change(ROOM, banned)
        async with shard.viewer(token("u7")) as viewer, shard.viewer(token("u8")) as other:
            await other.hear("welcome")
            await viewer.do("join", room=ROOM, ref=1)
            await other.join(ROOM)
            assert (await viewer.hear("error", ref=1))["code"] == "banned"


class TestEventStreams:
    async def test_end_when_nothing_is_left_to_watch(self, shard: Shard) -> None:
        watching = asyncio.create_task(self.read_all(shard, token("u1") + f"&room={ROOM}"))
        await until(lambda: shard.count(ChatCount.JOINS) == 1)
        await until(lambda: shard.service.rooms.by_name[ROOM].local == 1)
        await order(shard, Moderate(ROOM, "ban", uid="u1", reason="spam"))
        said = await watching
        assert '"t":"left"' in said
        assert 'event: close\ndata: {"code":4504,"reason":"banned: spam"}' in said

    async def read_all(self, shard: Shard, query: str) -> str:
        where = urlsplit(shard.address)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(f"GET /sse{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        said = await reader.read()
        writer.close()
        return said.decode()
