"""Lists of words by HTTP: seen, set, and tried out on a text.

Rules. A list is all or nothing: every bad entry is told by its path. To set one is an order like a
moderator's, and stands in the audit; a long list is kept before the order names it. What is tried
is looked at as the gate does it, with the lists as they are now.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from chat.api import asked
from chat.api.answers import answer
from chat.api.bodies import MAX_LISTED, MAX_QUOTED, BadBody, parse
from chat.api.doors import Doors
from chat.api.incoming import Drain, Incoming, content_type
from chat.api.models import Problem
from chat.api.parts import Parts
from chat.api.word_paths import CheckIn, CheckOut, HitOut, WordsOut
from chat.bus.wordlists import WordLists
from chat.config.sections import Config
from chat.policy.orders import Actor, Words
from chat.policy.text import clean_text, room_problem
from chat.policy.wordbook import EMPTY_MATCHER, Loader, pack_words, read_words
from chat.policy.words import (
    KINDS,
    MAX_WORDS,
    SLICE,
    Kind,
    Matcher,
    WordList,
    judge,
    read_word,
    readings,
)

MAX_BYTES: Final = 8 * 1024 * 1024
STRONGEST: Final[tuple[Kind, ...]] = ("refuse", "shadow", "mask")
"""What a text comes to that has words of several kinds: the first of these."""
KEPT: Final = 16
"""Lists that are kept made, for who tries out texts one after the other."""


async def read_list(document: Any, at: str = "") -> WordList:
    """What stands `at` a body as a list, looked at in slices. Raises BadBody."""
    before = f"{at}." if at else ""
    if not isinstance(document, dict):
        raise BadBody([Problem(f"expected an object of {', '.join(KINDS)}", at)])
    problems = [
        Problem("there is no such field", f"{before}{name[:MAX_QUOTED]}")
        for name in document
        if name not in KINDS
    ]
    given: dict[str, Any] = {
        kind: document[kind] for kind in KINDS if document.get(kind) is not None
    }
    lists: dict[str, list[str]] = {}
    for kind, words in given.items():
        if isinstance(words, list):
            lists[kind] = words
        else:
            problems.append(Problem("expected an array of words", f"{before}{kind}"))
    if sum(map(len, lists.values())) > MAX_WORDS:
        raise BadBody([*problems, Problem(f"at most {MAX_WORDS} words", at)])
    for kind in KINDS:
        for i, word in enumerate(lists.get(kind, ())):
            found = read_word(word, kind) if isinstance(word, str) else "expected a word"
            if isinstance(found, str):
                problems.append(Problem(found, f"{before}{kind}[{i}]"))
            if len(problems) >= MAX_LISTED:
                raise BadBody(problems)
            if i % SLICE == SLICE - 1:
                await asyncio.sleep(0)
    if problems:
        raise BadBody(problems)
    return WordList(**lists)


class Wording:
    """The handlers."""

    def __init__(self, config: Config, doors: Doors, drain: Drain) -> None:
        self._config = config
        self._doors = doors
        self._drain = drain
        self._kept: OrderedDict[tuple[str | None, bytes], Matcher] = OrderedDict()

    def routes(self) -> Sequence[Parts]:
        """What is served."""
        return [
            Parts("/v1/words", GET=self.words, PUT=self.set_words),
            Parts("/v1/words/check", POST=self.check),
            Parts("/v1/rooms/{room}/words", GET=self.words, PUT=self.set_words),
        ]

    async def words(self, request: Request) -> Response:
        room = self._room_or_all(request)
        return _told(room, await self.listed(room))

    async def set_words(self, request: Request) -> Response:
        room = self._room_or_all(request)
        actor, reason = asked.actor(request), asked.reason(request)
        asked.want_json(content_type(request))
        body = Incoming(request, self._config.api.body_idle_s, self._drain)
        words = await read_list(parse(await body.whole(MAX_BYTES)))
        await self.put(room, words, actor, reason)
        return _told(room, words)

    async def listed(self, room: str | None) -> WordList:
        """The list that holds in a room, or everywhere."""
        lists = WordLists(self._doors.store)
        packed = await lists.find(room, await lists.field(room))
        return read_words(packed or b"")

    async def put(self, room: str | None, words: WordList, actor: Actor, reason: str) -> None:
        """From now on this list holds there. Raises NotDone."""
        lists = WordLists(self._doors.store)
        before = await lists.field(room)
        held = read_words(await lists.find(room, before) or b"")
        after = await lists.keep(room, pack_words(words))
        order = Words(room, after, reason, changes(held, words))
        await self._doors.moderation.act(order, actor)
        await lists.replaced(room, before, after)

    def _room_or_all(self, request: Request) -> str | None:
        return asked.room(request, self._config) if "room" in request.path_params else None

    async def check(self, request: Request) -> Response:
        given = await asked.fields(request, self._config, self._drain, CheckIn)
        if given.room is not None:
            wrong = room_problem(given.room, self._config.limits.room_chars)
            if wrong is not None:
                raise BadBody([Problem(wrong, "room")])
        return answer(await self._judged(clean_text(given.text), given.room))

    async def _judged(self, text: str, room: str | None) -> CheckOut:
        everywhere = await self._matcher(None)
        own = EMPTY_MATCHER if room is None else await self._matcher(room)
        judged = judge([everywhere, own], text)
        if judged is None:
            return CheckOut("pass", text, [])
        read = readings(text)
        hits = [HitOut(hit.word, hit.kind, "everywhere") for hit in everywhere.hits(read)]
        hits += [HitOut(hit.word, hit.kind, "room") for hit in own.hits(read)]
        kinds = {hit.kind for hit in hits}
        outcome = next(kind for kind in STRONGEST if kind in kinds)
        return CheckOut(outcome, judged.text, hits)

    async def _matcher(self, room: str | None) -> Matcher:
        """The list of a room that holds now; those that were asked for last are kept."""
        lists = WordLists(self._doors.store)
        field = await lists.field(room)
        if not field:
            return EMPTY_MATCHER
        key = room, field
        if key not in self._kept:
            made = await Loader(lists).matcher(room, field)
            self._kept[key] = EMPTY_MATCHER if made is None else made
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


def changes(before: WordList, after: WordList) -> dict[str, dict[str, int]]:
    """What the audit says of a change: how many words, not which; there may be very many."""
    found: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        old, new = set(before.of(kind)), set(after.of(kind))
        found[kind] = {"added": len(new - old), "removed": len(old - new), "now": len(new)}
    return found


def _told(room: str | None, words: WordList) -> Response:
    return answer(WordsOut(words.refuse, words.mask, words.shadow, room))
