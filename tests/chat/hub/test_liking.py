"""Likes of viewers of two shards: added up, told to all, kept while Redis is away."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from chat.bus.rules import Rules
from chat.config.sections import MOST_LIKE_KINDS
from chat.counters import ChatCount
from chat.hub import liking
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import Sanction, pack_sanction
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.hub.test_hub_away import freeze, thaw
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"
AUTH = {"secret": SECRET}


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(Shard(valkey.url, prefix, auth=AUTH)) for _ in range(2)
        ]


async def totals(shard: Shard, room: str = ROOM) -> dict[str, int]:
    return (await shard.store.open_room(room)).likes


async def until_told(shards: list[Shard], viewers: list[Viewer], counts: dict[str, int]) -> None:
    """Let seconds pass until the last that all were told is this."""

    def done() -> bool:
        for shard in shards:
            shard.advance()
        return all([one["counts"] for one in who.of("likes")][-1:] == [counts] for who in viewers)

    await until(done, f"{counts}")


class TestLiking:
    async def test_all_nodes_viewers_are_told_the_sum(self, shards: list[Shard]) -> None:
        one, two = shards
        async with one.viewer() as here, two.viewer(binary=True) as there:
            await here.join(ROOM)
            await there.join(ROOM)
            await here.do("like", room=ROOM)
            await there.do("like", room=ROOM, kind="heart", count=100)
            done = await here.ask("like", room=ROOM, count=2)
            assert (done["t"], done["room"], done["action"]) == ("done", ROOM, "like")
            await until_told(shards, [here, there], {"like": 3, "heart": 100})
            assert await totals(one) == {"like": 3, "heart": 100}
            async with two.viewer() as late:
                assert (await late.join(ROOM))["likes"] == {"like": 3, "heart": 100}
            assert not here.of("error")
            assert not there.of("error")
        assert sum(shard.count(ChatCount.LIKES) for shard in shards) == 103

    async def test_a_room_that_was_never_liked_says_nothing(self, shards: list[Shard]) -> None:
        async with shards[0].viewer() as viewer:
            assert "likes" not in await viewer.join(ROOM)
            shards[0].advance(3)
            await viewer.settle()
            assert not viewer.of("likes")

    async def test_a_room_that_opens_again_knows_them(self, shards: list[Shard]) -> None:
        one, two = shards
        async with one.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.do("like", room=ROOM, count=7)
            await until_told([one], [viewer], {"like": 7})
        async with two.viewer() as viewer:
            assert (await viewer.join(ROOM))["likes"] == {"like": 7}

    async def test_a_shard_that_ends_has_its_last_ones_counted(
        self, valkey: EmbeddedEngine, prefix: str, shards: list[Shard]
    ) -> None:
        async with Shard(valkey.url, prefix) as ending, ending.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.ask("like", room=ROOM, count=5)
        assert await totals(shards[0]) == {"like": 5}


class TestRefused:
    @pytest.mark.parametrize(
        "fields",
        [{"count": 0}, {"count": 101}, {"count": "1"}, {"kind": "No"}, {"kind": ""},
         {"kind": "a b"}, {"kind": "x" * 17}, {"kind": "a\n"}, {"kind": 5}],
    )  # fmt: skip
    async def test_what_is_no_like(self, shards: list[Shard], fields: dict[str, object]) -> None:
        async with shards[0].viewer() as viewer:
            await viewer.join(ROOM)
            assert (await viewer.ask("like", room=ROOM, **fields))["code"] == "bad_request"

    async def test_where_one_has_not_joined(self, shards: list[Shard]) -> None:
        async with shards[0].viewer() as viewer:
            await viewer.raw(json.dumps({"t": "like", "room": ROOM}))
            assert (await viewer.hear("error"))["code"] == "not_joined"

    async def test_one_kind_too_many(self, shards: list[Shard]) -> None:
        [shard, _] = shards
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            for i in range(MOST_LIKE_KINDS):
                await viewer.ask("like", room=ROOM, kind=f"k{i}")
            kinds = {f"k{i}": 1 for i in range(MOST_LIKE_KINDS)}
            assert (await viewer.ask("like", room=ROOM, kind="more"))["code"] == "bad_request"
            await until_told([shard], [viewer], kinds)
            assert (await viewer.ask("like", room=ROOM, kind="more"))["code"] == "bad_request"
            assert (await viewer.ask("like", room=ROOM, kind="k0"))["t"] == "done"

    async def test_a_kind_that_the_operator_has_not_named(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        rooms = {"like_kinds": ("clap",)}
        async with Shard(valkey.url, prefix, rooms=rooms) as shard, shard.viewer() as viewer:
            await viewer.join(ROOM)
            refused = await viewer.ask("like", room=ROOM)
            assert (refused["code"], "clap" in refused["message"]) == ("bad_request", True)
            assert (await viewer.ask("like", room=ROOM, kind="clap"))["t"] == "done"

    async def test_the_muted_and_only_them(self, shards: list[Shard]) -> None:
        [shard, _] = shards
        async with shard.viewer(token("u7")) as muted, shard.viewer(token("u8")) as other:
            await muted.join(ROOM)
            await other.join(ROOM)
            mute = pack_sanction(Sanction(0, "spam"))
            await Rules(shard.store).change(ROOM, {"mute:u7": mute})
            await until(lambda: "mute" in shard.service._rules.book.of(ROOM).sanctions, "the mute")
            assert (await muted.ask("like", room=ROOM))["code"] == "muted"
            assert (await other.ask("like", room=ROOM))["t"] == "done"
        assert shard.count(ChatCount.REFUSED_MUTED) == 1

    async def test_guests_where_they_only_read(self, valkey: EmbeddedEngine, prefix: str) -> None:
        auth = {"guests": "read", "secret": SECRET}
        async with Shard(valkey.url, prefix, auth=auth) as shard, shard.viewer() as guest:
            await guest.join(ROOM)
            assert (await guest.ask("like", room=ROOM))["code"] == "read_only"


class TestAway:
    async def test_what_is_liked_meanwhile_is_added_once(self, own_valkey: EmbeddedEngine) -> None:
        bus = {"partitions": 4, "flush_interval_ms": 5, "timeout_ms": 300}
        async with Shard(own_valkey.url, "x", bus=bus) as shard, shard.viewer() as viewer:
            await viewer.join(ROOM)
            freeze(own_valkey)
            for _ in range(5):
                await viewer.ask("like", room=ROOM, count=10)
                shard.advance()
                calls = shard.service._liking._under_way
                await until(lambda: not calls, "the call's end")  # noqa: B023 - awaited here
            await thaw(own_valkey)
            await until_told([shard], [viewer], {"like": 50})
            assert await totals(shard) == {"like": 50}

    async def test_beyond_the_bound_one_is_told_and_known_kinds_are_counted_on(
        self, own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(liking, "MOST_GATHERED", 2)
        async with Shard(own_valkey.url, "x") as shard, shard.viewer() as viewer:
            await viewer.join(ROOM)
            for kind in "ab":
                await viewer.ask("like", room=ROOM, kind=kind)
            refused = await viewer.ask("like", room=ROOM, kind="c")
            assert (refused["code"], refused["retry_after"]) == ("unavailable", 1.0)
            assert (await viewer.ask("like", room=ROOM, kind="a"))["t"] == "done"
            await until_told([shard], [viewer], {"a": 2, "b": 1})
            assert (await viewer.ask("like", room=ROOM, kind="c"))["t"] == "done"
        assert shard.count(ChatCount.REFUSED_UNAVAILABLE) == 1

    async def test_what_a_shard_that_ends_cannot_add_is_counted_as_lost(
        self, own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(liking, "LAST_S", 0.1)
        bus = {"partitions": 4, "flush_interval_ms": 5, "timeout_ms": 300}
        async with Shard(own_valkey.url, "x", bus=bus) as shard, shard.viewer() as viewer:
            await viewer.join(ROOM)
            freeze(own_valkey)
            await viewer.ask("like", room=ROOM, count=9)
        await thaw(own_valkey)
        assert shard.count(ChatCount.LIKES_DROPPED) == 9
