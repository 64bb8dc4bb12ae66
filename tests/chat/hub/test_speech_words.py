"""Words on a running shard: refused, masked, shadowed; changed while it runs, on every shard."""

import time
from collections.abc import AsyncIterator

import pytest

from chat.bus.rules import Rules
from chat.bus.wordlists import FIELD, WordLists
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.wordbook import pack_words
from chat.policy.words import WordList
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"
LISTS = WordList(refuse=["bad"], mask=["ugly"], shadow=["spam"])


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
        shard.wall = time.time()  # tokens are checked against the real one
        yield shard


async def set_words(shard: Shard, room: str | None, words: WordList) -> None:
    """As the API does."""
    field = await WordLists(shard.store).keep(room, pack_words(words))
    await Rules(shard.store).change(room, {FIELD: field or None})


async def until_refused(viewer: Viewer, text: str, room: str = ROOM) -> None:
    """Say it until it may not be said any more."""
    answer = await viewer.ask("send", room=room, text=text)
    while answer["t"] == "ack" or answer["code"] != "word_refused":
        answer = await viewer.ask("send", room=room, text=text)


class TestWords:
    async def test_a_word_is_refused_masked_or_shadowed(self, shard: Shard) -> None:
        await set_words(shard, ROOM, LISTS)
        async with (
            shard.viewer(token("a")) as sender,
            shard.viewer(token("a"), binary=True) as same,
            shard.viewer() as other,
        ):
            for viewer in (sender, same, other):
                await viewer.join(ROOM)
            error = await sender.ask("send", room=ROOM, text="so bad")
            assert (error["code"], "retry_after" in error) == ("word_refused", False)
            assert "bad" not in error["message"]
            for text in ("so ugly", "buy spam", "hello"):
                await sender.say(ROOM, text)
            await other.hear("msg", text="hello")
            assert other.texts == ["so ****", "hello"]
            for viewer in (sender, same):
                await viewer.hear("msg", text="hello")
                assert viewer.texts == ["so ****", "buy spam", "hello"]
        counted = [ChatCount.REFUSED_WORD, ChatCount.MASKED, ChatCount.SHADOWED]
        assert [shard.count(what) for what in counted] == [1, 1, 1]

    async def test_a_second_try_of_what_is_shadowed_is_the_first(self, shard: Shard) -> None:
        await set_words(shard, ROOM, LISTS)
        async with shard.viewer(token("a")) as sender:
            await sender.join(ROOM)
            acks = [await sender.say(ROOM, "spam", id="1") for _ in range(2)]
            assert acks[0]["seq"] == acks[1]["seq"]

    async def test_moderators_may_say_anything(self, shard: Shard) -> None:
        await set_words(shard, ROOM, LISTS)
        async with shard.viewer(token("m", role="moderator")) as moderator:
            await moderator.join(ROOM)
            await moderator.say(ROOM, "bad ugly spam")
            assert (await moderator.hear("msg"))["text"] == "bad ugly spam"


class TestNames:
    """Those that guests choose."""

    async def test_of_everywhere_are_judged_when_they_are_chosen(self, shard: Shard) -> None:
        await set_words(shard, None, LISTS)
        await until(lambda: shard.service._words._held)
        async with shard.viewer("?name=so%20ugly") as masked, shard.viewer("?name=bad") as refused:
            welcome = await masked.hear("welcome")
            assert welcome["name"] == f"so **** (guest-{welcome['uid'][-4:]})"
            welcome = await refused.hear("welcome")
            default = f"guest-{welcome['uid'][-4:]}"
            assert welcome["name"] == default
            for name in ("bad", "so b.a.d", "spam"):
                error = await refused.ask("auth", name=name)
                assert (error["code"], "bad" in error["message"]) == ("word_refused", False)
            both = await refused.ask("auth", guest=welcome["guest"], name="bad")
            assert both["code"] == "word_refused"
            assert (await refused.ask("auth", name="ugly"))["name"] == f"**** ({default})"
            assert (await refused.ask("auth", name="\u3164"))["code"] == "forbidden"
            assert (await refused.ask("auth", name=""))["name"] == default
        assert shard.count(ChatCount.REFUSED_WORD) == 4

    async def test_of_a_room_are_judged_where_they_would_be_shown(self, shard: Shard) -> None:
        await set_words(shard, ROOM, LISTS)
        async with shard.viewer() as other, shard.viewer("?name=ugly") as guest:
            uid = (await guest.hear("welcome"))["uid"]
            ending = f" (guest-{uid[-4:]})"
            for viewer in (other, guest):
                await viewer.join(ROOM)
                await viewer.join("elsewhere")
            await guest.say(ROOM, "so ugly")
            message = await other.hear("msg", room=ROOM)
            assert (message["name"], message["text"]) == (f"****{ending}", "so ****")
            await guest.say("elsewhere", "hi")
            assert (await other.hear("msg", room="elsewhere"))["name"] == f"ugly{ending}"
            await guest.ask("auth", name="bad")
            error = await guest.ask("send", room=ROOM, text="hi")
            assert (error["code"], "name" in error["message"]) == ("word_refused", True)
            await guest.ask("auth", name="spam")
            await guest.say(ROOM, "only mine")
            await guest.ask("auth", name="fine")
            await guest.say(ROOM, "all's")
            await other.hear("msg", text="all's")
            assert "only mine" not in other.texts
        counted = [ChatCount.REFUSED_WORD, ChatCount.MASKED, ChatCount.SHADOWED]
        assert [shard.count(what) for what in counted] == [1, 1, 1]

    async def test_what_is_put_behind_them_is_on_no_list(self, shard: Shard) -> None:
        await set_words(shard, ROOM, WordList(refuse=["guest", "guest*"]))
        async with shard.viewer("?name=Flower") as named, shard.viewer() as unnamed:
            for viewer in (named, unnamed):
                await viewer.join(ROOM)
                await viewer.say(ROOM, "hi")

    async def test_a_users_is_its_tokens(self, shard: Shard) -> None:
        await set_words(shard, ROOM, LISTS)
        async with shard.viewer(token("a", name="bad")) as viewer:
            await viewer.join(ROOM)
            await viewer.say(ROOM, "hi")
            assert (await viewer.hear("msg"))["name"] == "bad"


class TestChanging:
    @pytest.mark.parametrize("room", [ROOM, None])
    async def test_lists_change_while_it_runs(self, shard: Shard, room: str | None) -> None:
        shard.hub._rate.passes = lambda fd: None  # type: ignore[method-assign]
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.say(ROOM, "bad")
            await set_words(shard, room, LISTS)
            await until_refused(viewer, "bad")
            await set_words(shard, room, WordList(refuse=[f"long{i}" for i in range(3_000)]))
            await until_refused(viewer, "long17")
            await viewer.say(ROOM, "bad")
            await set_words(shard, room, WordList())
            await until(lambda: shard.service._words.lists(ROOM) == ())
            await viewer.say(ROOM, "long17")

    async def test_on_every_shard(self, shard: Shard) -> None:
        async with (
            Shard(shard.url, shard.prefix) as other,
            shard.viewer() as here,
            other.viewer() as there,
        ):
            for one in (shard, other):
                one.hub._rate.passes = lambda fd: None  # type: ignore[method-assign]
            for viewer in (here, there):
                await viewer.join(ROOM)
            await set_words(shard, ROOM, LISTS)
            for viewer in (here, there):
                await until_refused(viewer, "bad")

    async def test_of_a_long_list_that_is_not_there_yet_nothing_passes(self, shard: Shard) -> None:
        await set_words(shard, ROOM, WordList(refuse=[f"long{i}" for i in range(20_000)]))
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            first = await viewer.ask("send", room=ROOM, text="long17")
            assert first["code"] in ("unavailable", "word_refused")
            await until(lambda: shard.service._words.lists(ROOM))
            error = await viewer.ask("send", room=ROOM, text="long17")
            assert error["code"] == "word_refused"
            await viewer.say(ROOM, "fine")
