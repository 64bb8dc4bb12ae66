"""The lists that hold on a shard, on a real Valkey: loaded, shared, swapped, never half."""

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.kept import Kept
from chat.bus.rules import Rules
from chat.bus.store import Store
from chat.bus.wordlists import FIELD, WordLists, named
from chat.ops.engine import EmbeddedEngine
from chat.policy import wordbook as module
from chat.policy.rules import Rulebook
from chat.policy.wordbook import Wordbook, make, pack_words, read_words
from chat.policy.words import SLICE, WordList, judge
from tests.chat.rig import a_store, until

ROOM = "live:42"
LONG = WordList(refuse=[f"bad{number}" for number in range(3_000)])


class Desk:
    """One shard's rules and lists."""

    def __init__(self, store: Store) -> None:
        self.lists = WordLists(store)
        self.rules = Rulebook()
        self.store = store
        self.version = 0
        self.book = Wordbook(self.rules, self.lists, random.Random(1))

    async def set(self, room: str | None, words: WordList) -> bytes:
        """These words hold, and the shard was told."""
        field = await self.lists.keep(room, pack_words(words))
        self.version = await Rules(self.store).change(room, {FIELD: field or None})
        self.rules.load(room, Kept(self.version, {FIELD: field} if field else {}))
        self.book.changed(room, None)
        return field

    async def tell(self, room: str, words: WordList) -> None:
        """The words are these from now on; the shard, which knows the rules, is told."""
        field = await self.lists.keep(room, pack_words(words))
        self.rules.get(room).put({FIELD: field})
        self.book.changed(room, [FIELD])

    def says(self, text: str, room: str = ROOM) -> str | None:
        """What becomes of a text; None while that is not known."""
        lists = self.book.lists(room)
        if lists is None:
            return None
        judged = judge(lists, text)
        if judged is None:
            return text
        return "refused" if judged.refused else judged.text


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    store = a_store(valkey.url, prefix)
    desk = Desk(store)
    yield desk
    await desk.book.stop()
    await store.close()


class TestHolding:
    def test_without_lists_there_is_nothing_to_ask(self) -> None:
        book = Wordbook(Rulebook(), None, random.Random(1))  # type: ignore[arg-type]
        assert book.lists(ROOM) == ()

    async def test_a_short_one_holds_from_the_first_message(self, desk: Desk) -> None:
        await desk.set(ROOM, WordList(mask=["ugly"]))
        assert desk.says("so ugly") == "so ****"
        assert desk.says("so ugly", "elsewhere") == "so ugly"

    async def test_a_rooms_stands_beside_the_servers(self, desk: Desk) -> None:
        await desk.set(None, WordList(mask=["one"]))
        await desk.set(ROOM, WordList(mask=["two"]))
        assert desk.says("one two") == "*** ***"
        assert desk.says("one two", "elsewhere") == "*** two"

    async def test_until_a_long_one_is_there_nothing_is_known(self, desk: Desk) -> None:
        await desk.set(None, LONG)
        assert desk.says("bad17") is None
        await until(lambda: desk.says("bad17") == "refused")
        assert desk.says("fine") == "fine"

    async def test_until_a_new_one_is_there_the_one_before_holds(self, desk: Desk) -> None:
        await desk.set(ROOM, WordList(mask=["ugly"]))
        assert desk.says("ugly bad17") == "**** bad17"
        await desk.set(ROOM, LONG)
        assert desk.says("ugly bad17") == "**** bad17"
        await until(lambda: desk.says("ugly bad17") == "refused")
        assert desk.says("ugly") == "ugly"

    @pytest.mark.parametrize("lifted", [False, True])
    async def test_where_there_was_none_everything_passes_until_the_first_is_there(
        self, desk: Desk, lifted: bool
    ) -> None:
        await desk.set(ROOM, WordList(mask=["ugly"]) if lifted else WordList())
        if lifted:
            await desk.set(ROOM, WordList())
        await desk.tell(ROOM, LONG)
        assert desk.says("ugly bad17") == "ugly bad17"
        await until(lambda: desk.says("bad17") == "refused")

    async def test_the_last_of_many_changes_holds(self, desk: Desk) -> None:
        for number in range(5):
            await desk.set(ROOM, WordList(refuse=[*LONG.refuse, f"last{number}"]))
        await until(lambda: desk.says("last4") == "refused")
        assert desk.says("last0") == "last0"

    async def test_an_emptied_list_is_none(self, desk: Desk) -> None:
        await desk.set(ROOM, WordList(mask=["ugly"]))
        assert desk.says("ugly") == "****"
        await desk.set(ROOM, WordList())
        assert desk.book.lists(ROOM) == ()

    async def test_bytes_that_are_no_list_forbid_nothing(self, desk: Desk) -> None:
        desk.rules.load(ROOM, Kept(1, {FIELD: b"junk"}))
        assert desk.says("anything") == "anything"
        field = await desk.lists.keep(ROOM, b"no list of ours")
        desk.rules.load(ROOM, Kept(2, {FIELD: field}))
        assert desk.says("anything") == "anything"

    async def test_other_changes_load_nothing(self, desk: Desk) -> None:
        field = await desk.lists.keep(ROOM, pack_words(LONG))
        desk.rules.load(ROOM, Kept(1, {FIELD: field}))
        desk.book.changed(ROOM, ["settings", "mute:u1"])
        assert not desk.book._tasks.busy
        desk.book.changed(ROOM, [FIELD])
        assert desk.book._tasks.busy

    async def test_asking_is_enough(self, desk: Desk) -> None:
        field = await desk.lists.keep(ROOM, pack_words(LONG))
        desk.rules.load(ROOM, Kept(1, {FIELD: field}))
        await until(lambda: desk.says("bad1") == "refused")


class TestSharing:
    async def test_rooms_with_the_same_list_have_it_once(self, desk: Desk) -> None:
        for room in ("a", "b"):
            await desk.set(room, LONG)
            await until(lambda room=room: desk.book.lists(room))  # type: ignore[misc]
        [[one], [other]] = desk.book.lists("a") or (), desk.book.lists("b") or ()
        assert one is other

    async def test_those_of_closed_rooms_go(self, desk: Desk) -> None:
        await desk.set("a", WordList(mask=["x"]))
        [matcher] = desk.book.lists("a") or ()
        gone = weakref.ref(matcher)
        del matcher
        desk.rules.forget("a")
        await desk.set("b", WordList(mask=["y"]))
        gc.collect()
        assert gone() is None


class TestAway:
    async def test_while_redis_is_away_it_is_asked_again(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "RETRY_S", 0.001)
        find, asked = desk.lists.find, list[bytes]()

        async def away(room: str | None, field: bytes) -> bytes | None:
            asked.append(field)
            if len(asked) < 3:
                raise StoreError("away")
            return await find(room, field)

        monkeypatch.setattr(desk.lists, "find", away)
        await desk.set(ROOM, LONG)
        await until(lambda: desk.says("bad1") == "refused")
        assert len(asked) == 3

    async def test_a_list_that_is_not_there_any_more_is_an_empty_one_in_the_end(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(module, "RETRY_S", 0.001)

        async def gone(room: str | None, field: bytes) -> bytes | None:
            return None

        monkeypatch.setattr(desk.lists, "find", gone)
        await desk.set(ROOM, LONG)
        assert desk.says("bad1") is None
        await until(lambda: desk.says("bad1") == "bad1")
        assert "not in Redis any more" in caplog.text

    async def test_what_it_has_lost_is_written_back_by_who_knows_it(
        self, desk: Desk, raw: Any
    ) -> None:
        field = await desk.set(ROOM, LONG)
        await desk.set(None, WordList(mask=["short"]))
        await until(lambda: desk.book.lists(ROOM))
        await desk.book.resync()
        name = named(field)
        assert name is not None
        await raw.delete(desk.store.keys.words(ROOM, name.digest))
        assert await desk.lists.find(ROOM, field) is None
        await desk.book.resync()
        found = await desk.lists.find(ROOM, field)
        assert found is not None
        assert read_words(found) == LONG


class TestMaking:
    async def test_others_have_their_turn_meanwhile(self) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        matcher = await make(LONG)
        beside.cancel()
        assert turns >= len(LONG) // SLICE
        assert judge([matcher], "bad2999") is not None

    async def test_what_was_made_says_of_what(self) -> None:
        words = WordList(refuse=["a", "A"], mask=["傻逼"], shadow=["a", "c"])
        assert (await make(words)).listed() == words

    def test_a_list_comes_back_whole(self) -> None:
        words = WordList(refuse=["a"], mask=["傻逼"], shadow=["c"])
        assert read_words(pack_words(words)) == words
        assert pack_words(WordList()) == b""
        assert read_words(b"") == WordList()
