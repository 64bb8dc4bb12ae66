"""What shards say of a user's connections; two of them, and what is known of who is not there."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chat.bus import inquiry as inquiry_module
from chat.bus.inquiry import MOST_LISTED, Answers, Inquiry, Seen
from chat.hub import inquiries
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, new_prefix


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiry_module, "ANSWER_S", 10.0)


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[tuple[Shard, Shard]]:
    auth = {"secret": SECRET}
    async with (
        Shard(valkey.url, prefix, auth=auth) as one,
        Shard(valkey.url, prefix, auth=auth) as two,
    ):
        while (await ask(one, "nobody")).known < 2:  # noqa: ASYNC110 - bounded by pytest's timeout
            await asyncio.sleep(0.01)
        yield one, two


async def ask(shard: Shard, uid: str) -> Answers:
    return await Inquiry(shard.store, 0.0).ask(uid)


class TestWhoIsHere:
    async def test_all_shards_say_what_they_have(self, shards: tuple[Shard, Shard]) -> None:
        one, two = shards
        async with (
            one.viewer(token("u1", role="vip")) as first,
            one.viewer(token("u1")) as second,
            two.viewer(token("u1")) as third,
            two.viewer(token("u2")) as other,
        ):
            await first.join("live:42")
            await first.join("live:43")
            names = [(await v.hear("welcome"))["conn"] for v in (first, second, third, other)]
            answers = await ask(one, "u1")
            assert (answers.answered, answers.known) == (2, 2)
            assert {shard: found.count for shard, found in answers.found.items()} == {
                one.name: 2,
                two.name: 1,
            }
            listed = answers.found[one.name].connections + answers.found[two.name].connections
            assert [(c.name, c.role, c.rooms) for c in listed] == [
                (names[0], "vip", ["live:42", "live:43"]),
                (names[1], "user", []),
                (names[2], "user", []),
            ]

    async def test_from_where_it_came_is_told_when_it_is_asked_for(
        self, shards: tuple[Shard, Shard]
    ) -> None:
        one, _ = shards
        async with one.viewer(token("u1")) as viewer:
            await viewer.hear("welcome")
            for addresses, told in ((False, None), (True, "127.0.0.1")):
                answers = await Inquiry(one.store, 0.0).ask("u1", addresses)
                assert [c.address for c in answers.found[one.name].connections] == [told]

    async def test_a_guest_is_found_while_it_is_here(self, shards: tuple[Shard, Shard]) -> None:
        one, two = shards
        async with one.viewer() as guest:
            uid = (await guest.hear("welcome"))["uid"]
            assert (await ask(two, uid)).found[one.name].count == 1
        assert (await ask(two, uid)).found == {}

    async def test_of_very_many_some_are_listed_and_all_counted(
        self, shards: tuple[Shard, Shard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inquiries, "MOST_LISTED", 1)
        assert MOST_LISTED > 1
        one, _ = shards
        async with one.viewer(token("u1")) as first, one.viewer(token("u1")) as second:
            await first.hear("welcome")
            await second.hear("welcome")
            found = (await ask(one, "u1")).found[one.name]
            assert (found.count, len(found.connections)) == (2, 1)


class TestSearch:
    async def test_a_part_of_uid_or_name_in_any_case_finds_users_and_guests(
        self, shards: tuple[Shard, Shard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inquiries, "SLICE", 1)
        one, two = shards
        async with (
            one.viewer(token("u-Ada", name="阿花", role="vip")) as first,
            one.viewer(token("u-Ada", name="阿花", role="vip")) as second,
            two.viewer(token("u-bob", name="Bob")) as other,
            two.viewer() as guest,
        ):
            for viewer in (first, second, other):
                await viewer.hear("welcome")
            await first.join("live:42")
            number = (await guest.hear("welcome"))["uid"]

            async def search(like: str) -> dict[str, list[Seen]]:
                answers = await Inquiry(one.store, 0.0).search(like)
                assert (answers.answered, answers.known) == (2, 2)
                return {shard: found.users for shard, found in answers.found.items()}

            ada = Seen("u-Ada", "阿花", "vip", 2, ["live:42"])
            assert await search("ADA") == {one.name: [ada]}
            assert await search("花") == {one.name: [ada]}
            assert await search("BO") == {two.name: [Seen("u-bob", "Bob", "user", 1, [])]}
            assert [user.uid for user in (await search(number[-6:]))[two.name]] == [number]
            assert {*await search("u")} == {one.name, two.name}
            assert await search("nobody") == {}

    async def test_of_very_many_some_are_told(
        self, shards: tuple[Shard, Shard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inquiries, "MOST_FOUND", 1)
        one, _ = shards
        async with (
            one.viewer(token("ua")) as first,
            one.viewer(token("ub")) as second,
            one.viewer(token("uc")) as third,
        ):
            for viewer in (first, second, third):
                await viewer.hear("welcome")
            answers = await Inquiry(one.store, 0.0).search("u")
            assert len(answers.found[one.name].users) == 2  # one more tells that there are more


class TestLiving:
    async def test_a_shard_that_ended_is_not_waited_for(self, valkey: EmbeddedEngine) -> None:
        prefix = new_prefix()
        async with Shard(valkey.url, prefix) as one:
            async with Shard(valkey.url, prefix):
                while (await ask(one, "u1")).known < 2:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
            assert (await ask(one, "u1")).known == 1

    async def test_one_that_ends_while_the_bus_is_away_ends(
        self, own_valkey: EmbeddedEngine
    ) -> None:
        async with Shard(own_valkey.url, new_prefix()) as shard:
            assert (await ask(shard, "u1")).known == 1
            own_valkey.stop()
