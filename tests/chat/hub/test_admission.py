"""Who is let in for how long, and what an open connection may become."""

import asyncio
import time
from collections.abc import AsyncIterator

import jwt
import pytest

from chat.hub.expiries import EXPIRING_S
from chat.ops.engine import EmbeddedEngine
from chat.policy.claims import LEEWAY_S
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
        shard.wall = time.time()  # tokens are checked against the real one
        yield shard


def bearer(sub: str = "u7", lasts_s: int = 3_600) -> str:
    return token(sub, lasts_s).removeprefix("?token=")


class TestExpiring:
    async def test_it_is_said_once_and_then_the_connection_ends(self, shard: Shard) -> None:
        lasting = shard.viewer(token(lasts_s=7_200))
        async with shard.viewer(token()) as short, lasting as long, shard.viewer() as guest:
            for viewer in (short, long, guest):
                await viewer.hear("welcome")
            shard.wall += 3_600 + LEEWAY_S - EXPIRING_S - 5
            shard.advance()
            await short.settle()
            assert short.of("expiring") == []
            shard.advance(20)
            [told] = [await short.hear("expiring")]
            assert EXPIRING_S - 5 <= told["in_s"] <= EXPIRING_S
            shard.wall += EXPIRING_S
            shard.advance()
            assert await short.closed() == 4501
            assert len(short.of("expiring")) == 1
            for viewer in (long, guest):
                await viewer.settle()
                assert viewer.of("expiring") == []

    async def test_a_short_token_says_so_from_the_start(self, shard: Shard) -> None:
        async with shard.viewer(token(lasts_s=20)) as viewer:
            await viewer.hear("welcome")
            shard.advance()
            assert 15 <= (await viewer.hear("expiring"))["in_s"] <= 20 + LEEWAY_S

    async def test_another_token_of_the_same_user_goes_on(self, shard: Shard) -> None:
        async with shard.viewer(token(lasts_s=20)) as viewer:
            await viewer.join(ROOM)
            shard.advance()
            await viewer.hear("expiring")
            newer = bearer(lasts_s=7_200)
            authed = await viewer.ask("auth", token=newer)
            assert (authed["t"], authed["uid"]) == ("authed", "u7")
            exp = jwt.decode(newer, options={"verify_signature": False})["exp"]
            assert authed["expires"] == exp
            shard.wall += 3_600
            shard.advance()
            await viewer.say(ROOM, "still here")
            await viewer.hear("msg", text="still here")
            assert len(viewer.of("expiring")) == 1

    async def test_one_that_ends_sooner_counts_too(self, shard: Shard) -> None:
        async with shard.viewer(token(lasts_s=7_200)) as viewer:
            await viewer.ask("auth", token=bearer(lasts_s=100))
            shard.wall += 100 + LEEWAY_S
            shard.advance()
            assert await viewer.closed() == 4501

    async def test_a_guest_that_became_a_user_ends_with_the_token(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.ask("auth", token=bearer(lasts_s=100))
            shard.wall += 100 + LEEWAY_S
            shard.advance()
            assert await viewer.closed() == 4501

    async def test_who_comes_next_on_the_descriptor_has_its_own_time(self, shard: Shard) -> None:
        async with shard.viewer(token(lasts_s=100)) as viewer:
            conn = (await viewer.hear("welcome"))["conn"]
        async with shard.successor(conn) as guest:
            shard.wall += 200
            shard.advance()
            await guest.settle()
            assert guest.of("expiring") == []

    async def test_an_event_stream_is_told_and_ended_as_well(self, shard: Shard) -> None:
        host, port = shard.address.removeprefix("ws://").removesuffix("/ws").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        query = f"{token(lasts_s=20)}&room={ROOM}"
        writer.write(f"GET /sse{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b'"t":"joined"')
        shard.advance()
        await reader.readuntil(b'"t":"expiring"')
        shard.wall += 60
        shard.advance()
        assert b"4501" in await reader.read()
        writer.close()
        await until(lambda: shard.group.connections == 0)


class TestBecoming:
    async def test_a_user_becomes_nobody_else(self, shard: Shard) -> None:
        async with shard.viewer(token("u1")) as viewer, shard.viewer() as guest:
            await viewer.join(ROOM)
            key = (await guest.hear("welcome"))["guest"]
            for other in ({"token": bearer("u2")}, {"guest": key}):
                error = await viewer.ask("auth", **other)
                assert (error["t"], error["code"]) == ("error", "forbidden")
                assert "another connection" in error["message"]
            await viewer.say(ROOM, "hi")
            assert (await viewer.hear("msg"))["uid"] == "u1"

    async def test_a_guest_is_a_user_in_the_rooms_it_is_in(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.ask("auth", token=bearer("u1"))
            await viewer.say(ROOM, "hi")
            assert (await viewer.hear("msg"))["uid"] == "u1"


class TestNamesOfGuests:
    async def test_by_the_address_and_by_a_command(self, shard: Shard) -> None:
        async with shard.viewer("?name=%E9%98%BF%E8%8A%B1&room=a") as viewer:
            welcome = await viewer.hear("welcome")
            mark = f"(guest-{welcome['uid'][-4:]})"
            assert welcome["name"] == f"阿花 {mark}"
            await viewer.hear("joined")
            await viewer.say("a", "hi")
            assert (await viewer.hear("msg"))["name"] == f"阿花 {mark}"
            authed = await viewer.ask("auth", name="admin")
            assert (authed["uid"], authed["name"]) == (welcome["uid"], f"admin {mark}")
            await viewer.say("a", "ho")
            assert (await viewer.hear("msg", text="ho"))["name"] == f"admin {mark}"
            assert (await viewer.ask("auth", name="\u3164"))["code"] == "forbidden"

    async def test_a_guest_that_comes_back_says_its_name_again(self, shard: Shard) -> None:
        async with shard.viewer("?name=a") as viewer:
            welcome = await viewer.hear("welcome")
        async with shard.viewer(f"?name=a&guest={welcome['guest']}") as viewer:
            again = await viewer.hear("welcome")
            assert (again["uid"], again["name"]) == (welcome["uid"], welcome["name"])
        async with shard.viewer() as viewer:
            authed = await viewer.ask("auth", guest=welcome["guest"], name="a")
            assert (authed["uid"], authed["name"]) == (welcome["uid"], welcome["name"])

    async def test_a_token_wins(self, shard: Shard) -> None:
        async with shard.viewer(f"{token('u1')}&name=a") as viewer:
            assert (await viewer.hear("welcome"))["name"] == "u1"
            assert (await viewer.ask("auth", name="a"))["code"] == "forbidden"
            authed = await viewer.ask("auth", token=bearer("u1"), name="a")
            assert authed["name"] == "u1"
