"""The lists of words that hold on one shard: loaded when rules name them, made, swapped in.

Rules. What the rules name holds: a list is loaded when `changed` is told of it, or somebody asks
for it. Until it is ready the one before holds, which may be none; where nobody knows what held, in
a room just opened, nothing passes. Rooms with the same list share it, and a room's stands beside
the server's, it does not contain it.

A long list is made in slices between the loop's other work, and its automata in a thread. Shards
that are told of a change load it at different moments within `SPREAD_S`.
"""

import asyncio
import logging
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from chat.bus.connect import StoreError
from chat.bus.wordlists import FIELD, WordLists, named
from chat.policy.rules import Rulebook
from chat.policy.words import SLICE, Making, Matcher, WordList
from chat.tasks import Tasks
from chat.wire.schema import UNREADABLE
from shard.logids import about

log = logging.getLogger(__name__)

NOTHING: Final[tuple[Matcher, ...]] = ()
EMPTY: Final = WordList()
EMPTY_MATCHER: Final = Matcher(EMPTY)
SPREAD_S: Final = 0.3
RETRY_S: Final = 0.5
TRIES: Final = 20
"""How often a list is looked for that is not there, before it is taken for an empty one."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(WordList).decode


def pack_words(words: WordList) -> bytes:
    """A list as bytes; b"" for an empty one."""
    return _encode(words) if len(words) else b""


def read_words(packed: bytes) -> WordList:
    """Bytes that are no list of ours forbid nothing."""
    if not packed:
        return EMPTY
    try:
        return _decode(packed)
    except UNREADABLE:
        log.warning("a list of words cannot be read; none of it holds")
        return EMPTY


async def make(words: WordList) -> Matcher:
    """A Matcher, without holding up the loop."""
    making = Making(words)
    for _ in making.read():
        await asyncio.sleep(0)
    automata = [await asyncio.to_thread(making.automaton, part) for part in making.parts]
    return making.matcher(automata)


class Loader:
    """Matchers out of what rules name; those in use are shared."""

    def __init__(self, lists: WordLists) -> None:
        self._lists = lists
        self._made: WeakValueDictionary[str, Matcher] = WeakValueDictionary()

    def at_once(self, field: bytes) -> Matcher | None:
        """What needs no waiting: a list that is known, or a short one."""
        name = named(field)
        if name is None:
            return EMPTY_MATCHER
        known = self._made.get(name.digest)
        if known is None and name.packed:
            words = read_words(name.packed)
            if len(words) <= SLICE:
                known = self._made[name.digest] = Matcher(words)
        return known

    async def matcher(self, room: str | None, field: bytes) -> Matcher | None:
        """What a field of a room's rules names; None where it is gone. Raises StoreError."""
        known, name = self.at_once(field), named(field)
        if known is not None or name is None:
            return known
        packed = await self._lists.find(room, field)
        if packed is None:
            return None
        made = self._made[name.digest] = await make(read_words(packed))
        return made


@dataclass(slots=True)
class Held:
    """What holds in a room: `matcher` is of the list that `field` names; None: not known yet.

    wanted  the field that is being loaded; b"": none is
    """

    field: bytes = b""
    matcher: Matcher | None = None
    wanted: bytes = b""


class Wordbook:
    """The lists of the rooms of one shard, and the server's."""

    def __init__(self, rules: Rulebook, lists: WordLists, chance: random.Random) -> None:
        self._rules = rules
        self._lists = lists
        self._loader = Loader(lists)
        self._chance = chance
        self._held: dict[str | None, Held] = {}
        self._tasks = Tasks("words")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def lists(self, room: str) -> Sequence[Matcher] | None:  # hot: once per message typed
        """Those that hold in a room; None: they are not known yet."""
        everywhere, own = self._rules.everywhere.words, self._rules.of(room).words
        if not own:
            if not everywhere:
                return NOTHING
            only = self._of(None, everywhere)
            return None if only is None else (only,)
        found = [self._of(None, everywhere)] if everywhere else []
        found.append(self._of(room, own))
        ready = [matcher for matcher in found if matcher is not None]
        return ready if len(ready) == len(found) else None

    def everywhere(self) -> Sequence[Matcher] | None:
        """That of the server; None: it is not known yet."""
        field = self._rules.everywhere.words
        found = self._of(None, field) if field else EMPTY_MATCHER
        return None if found is None else (found,)

    async def resync(self) -> None:
        """Redis was away, and may have lost lists that are known here: they are written back.
        Raises StoreError."""
        for room, held in list(self._held.items()):
            field, matcher = held.field, held.matcher
            if matcher is not None and not await self._lists.is_there(room, field):
                log.warning(
                    "Redis has lost the words of %s: writing them back",
                    _whose(room),
                    extra=about(room),
                )
                await self._lists.restore(room, field, pack_words(matcher.listed()))

    def changed(self, room: str | None, names: Collection[str] | None) -> None:
        """These fields of rules have changed, None: all of them may have. Load what they name,
        before somebody asks."""
        if names is not None and FIELD not in names:
            return
        rules = self._rules.everywhere if room is None else self._rules.of(room)
        if not rules.words:
            self._held.pop(room, None)
            return
        if names is not None and room not in self._held:
            self._held[room] = Held(matcher=EMPTY_MATCHER)  # there were none, and that was known
        self._of(room, rules.words)

    def _of(self, room: str | None, field: bytes) -> Matcher | None:
        held = self._held.get(room)
        if held is None:
            self._sweep()
            held = self._held[room] = Held()
        if held.field != field and held.wanted != field:
            self._want(room, held, field)
        return held.matcher

    def _want(self, room: str | None, held: Held, field: bytes) -> None:
        known = self._loader.at_once(field)
        if known is not None:
            held.field, held.matcher, held.wanted = field, known, b""
            return
        busy = bool(held.wanted)
        held.wanted = field
        if not busy:
            self._tasks.spawn(self._load(room, held))

    async def _load(self, room: str | None, held: Held) -> None:
        """Load what is wanted, until nothing else is."""
        if held.matcher is not None:
            await asyncio.sleep(self._chance.uniform(0, SPREAD_S))
        missed = 0
        while field := held.wanted:
            try:
                made = await self._loader.matcher(room, field)
                missed += made is None
            except StoreError as error:
                log.debug("asking for words again in %.1f s: %s", RETRY_S, error)
                made = None
            if made is None and missed == TRIES:
                log.error(
                    "the words of %s are not in Redis any more", _whose(room), extra=about(room)
                )
                made = EMPTY_MATCHER
            if made is None:
                await asyncio.sleep(RETRY_S)
            elif held.wanted == field:
                held.field, held.matcher, held.wanted = field, made, b""

    def _sweep(self) -> None:
        """Let go of the lists of rooms that are closed, or have none any more."""
        for room in [one for one in self._held if one is not None]:
            if not self._rules.of(room).words and not self._held[room].wanted:
                del self._held[room]


def _whose(room: str | None) -> str:
    return "everywhere" if room is None else repr(room)
