"""Guests who come back: as who they were, so that what they say again is said once."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from chat.client.client import Client
from chat.client.link import Env
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix) as shard:
        yield shard


async def key_of(viewer: Viewer) -> tuple[str, str]:
    """A guest's uid and key."""
    welcome = await viewer.hear("welcome")
    return welcome["uid"], welcome["guest"]


class TestComingBack:
    @pytest.mark.parametrize("secret", ["", SECRET])
    async def test_with_its_key_a_guest_is_the_same_one_on_any_shard(
        self, valkey: EmbeddedEngine, prefix: str, secret: str
    ) -> None:
        auth = {"secret": secret}
        async with (
            Shard(valkey.url, prefix, auth=auth) as one,
            Shard(valkey.url, prefix, auth=auth) as other,
        ):
            async with one.viewer() as viewer:
                uid, key = await key_of(viewer)
            for shard in (one, other):
                async with shard.viewer(f"?guest={key}") as viewer:
                    assert await key_of(viewer) == (uid, key)
                assert shard.count(ChatCount.GUESTS_RETURNED) == 1

    async def test_while_secrets_change_it_is_given_another_key(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        auth = {"secret": SECRET}
        async with Shard(valkey.url, prefix, auth=auth) as shard, shard.viewer() as viewer:
            uid, old = await key_of(viewer)
        auth = {"secret": SECRET[::-1], "secret_before": SECRET}
        async with Shard(valkey.url, prefix, auth=auth) as shard:
            async with shard.viewer(f"?guest={old}") as viewer:
                same, new = await key_of(viewer)
                assert (same, new == old) == (uid, False)
            async with shard.viewer(f"?guest={new}") as viewer:
                assert await key_of(viewer) == (uid, new)
            assert shard.count(ChatCount.GUESTS_RETURNED) == 2

    async def test_what_it_says_again_is_published_once(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            _, key = await key_of(viewer)
            await viewer.join(ROOM)
            first = await viewer.say(ROOM, "once", id="m1")
        async with shard.viewer(f"?guest={key}") as viewer, shard.viewer() as other:
            await viewer.join(ROOM)
            again = await viewer.say(ROOM, "once", id="m1")
            assert again["id"] == first["id"]
            await other.join(ROOM)
            last = await other.say(ROOM, "once", id="m1")  # another guest, another message
            assert last["seq"] == 2
        assert shard.count(ChatCount.DUPLICATES_PUBLISHED) == 1

    async def test_also_by_a_command(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            uid, key = await key_of(viewer)
        async with shard.viewer() as viewer:
            new, _ = await key_of(viewer)
            authed = await viewer.ask("auth", guest=key)
            assert (authed["t"], authed["uid"], authed["role"]) == ("authed", uid, "guest")
            assert authed["expires"] == 0
            await viewer.join(ROOM)
            await viewer.say(ROOM, "hi")
            assert (await viewer.hear("msg"))["uid"] == uid != new

    async def test_a_token_is_more_than_a_key(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
            async with shard.viewer() as viewer:
                _, key = await key_of(viewer)
            async with shard.viewer(f"{token()}&guest={key}") as viewer:
                welcome = await viewer.hear("welcome")
                assert (welcome["uid"], "guest" in welcome) == ("u7", False)
            assert shard.count(ChatCount.GUESTS_RETURNED) == 0


class TestStrangers:
    async def test_a_key_that_is_not_ours_is_a_new_guest(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            uid, key = await key_of(viewer)
        forged = key[:-3] + ("AAA" if key[-3:] != "AAA" else "BBB")
        async with shard.viewer(f"?guest={forged}") as viewer:
            new, newer = await key_of(viewer)
            assert (new != uid, newer not in (key, forged)) == (True, True)
            error = await viewer.ask("auth", guest=forged)
            assert error["code"] == "forbidden"
        assert shard.count(ChatCount.REFUSED_GUEST_KEY) == 2

    async def test_auth_says_something(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            assert (await viewer.ask("auth"))["code"] == "bad_request"

    async def test_where_guests_are_refused_keys_are_too(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        auth = {"secret": SECRET}
        async with Shard(valkey.url, prefix, auth=auth) as shard, shard.viewer() as viewer:
            _, key = await key_of(viewer)
        closed = {"secret": SECRET, "guests": "refuse"}
        async with Shard(valkey.url, prefix, auth=closed) as shard:
            async with shard.viewer(f"?guest={key}") as viewer:
                assert await viewer.closed() == 4502
            async with shard.viewer(token()) as viewer:
                assert (await viewer.ask("auth", guest=key))["code"] == "forbidden"


class TestWithoutRedis:
    async def test_guests_are_new_ones_until_it_answers(
        self, own_valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Shard(own_valkey.url, prefix) as first, first.viewer() as viewer:
            uid, key = await key_of(viewer)
        async with Shard(own_valkey.url, prefix) as shard:
            keys = shard.service._guest_keys
            known, keys._macs = keys.of("1"), None  # as a shard is that was started without Redis
            async with shard.viewer(f"?guest={key}") as viewer:
                welcome = await viewer.hear("welcome")
                assert (welcome["uid"] != uid, "guest" in welcome) == (True, False)
            assert own_valkey.pid is not None
            os.kill(own_valkey.pid, signal.SIGKILL)
            own_valkey.restart()
            await until(lambda: keys.known)
            assert keys.of("1") == known


async def test_our_client_comes_back_as_who_it_was(shard: Shard) -> None:
    env = Env(chance=lambda: 0.0)
    async with Client(shard.address, ROOM, env=env) as client:
        first = await client.send(ROOM, "once", message_id="m1")
        [fd] = shard.group.open_connections()
        shard.group._end(fd, 1006)
        shard.group.turn()
        await until(lambda: shard.count(ChatCount.GUESTS_RETURNED))
        assert (await client.send(ROOM, "once", message_id="m1")).id == first.id
