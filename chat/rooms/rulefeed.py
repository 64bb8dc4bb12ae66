"""Keeps what a shard knows of rules as Redis has them: loaded, followed, loaded again.

Rules. A room's rules come with the room when it is opened, those of everywhere when the shard
begins; after that the streams tell what changed. Whoever misses a change, because a stream was cut
or trimmed, sees it at the next by its version, or after every break, and loads them whole. Until
they could be loaded a room is not open; of everywhere, nothing is forbidden until then.

Redis may have lost rules that are known here: it came back empty, or an earlier version of them.
They are written back, if nobody was first; so they are lost only when nobody knows them any more.

`None`, where a room is named, is everywhere.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from chat.bus.connect import StoreError
from chat.bus.entries import BadEntry, Changed, read_broadcast
from chat.bus.kept import Kept
from chat.bus.rules import Full, Outdated, Rules
from chat.counters import ChatCount
from chat.policy.rules import Rulebook, Step
from chat.tasks import Tasks

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5

Listener = Callable[[str | None, Collection[str] | None], None]
"""Is told whose rules changed, and which fields; None: all of them may have."""


class RuleFeed:
    """One shard's. `listeners` are told of every change, in order; `started` is set when the rules
    of everywhere are known."""

    def __init__(self, rules: Rules, book: Rulebook, counts: "memoryview[int]") -> None:
        self.book = book
        self.listeners: list[Listener] = []
        self.started = asyncio.Event()
        self._rules = rules
        self._counts = counts
        self._loading: set[str | None] = set()
        self._again: set[str | None] = set()
        self._tasks = Tasks("rules")

    def start(self) -> None:
        """Load the rules of everywhere, however long that takes."""
        self._load_again(None)

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    # --- what comes ----------------------------------------------------------------------------

    def load(self, room: str | None, kept: Kept) -> None:
        """Rules as Redis has them, or had them a moment ago."""
        known = self.book.get(room)
        if known.known and kept.restored not in (-1, known.restored):
            if known.version > kept.restored:
                self._tasks.spawn(self._put_right(room, kept))
                return
        elif known.known and kept.version < known.version:
            self._tasks.spawn(self._restore(room, kept.version))
            return
        self._learn(room, kept)

    def _learn(self, room: str | None, kept: Kept) -> None:
        missed = self.book.load(room, kept) is Step.MISSED
        if room is None:
            self.started.set()
        self._tell(room, None)
        if missed or room in self._again:
            self._load_again(room)

    def take(self, room: str, fields: Sequence[bytes]) -> None:
        """A control of a room: the fields of its stream entry."""
        try:
            version, control = int(fields[7]), read_broadcast(fields[5])
            if not isinstance(control, Changed):
                raise BadEntry("no change of a room's rules")
        except (ValueError, IndexError, BadEntry):
            self._counts[ChatCount.BAD_ENTRIES] += 1
            return
        self.apply(room, version, control)

    def apply(self, room: str | None, version: int, changed: Changed) -> None:
        """A change that was told."""
        if changed.restored and self.book.get(room).known:
            self._load_again(room)
            return
        match self.book.apply(room, version, changed.fields):
            case Step.DONE:
                if changed.fetch:
                    self._tasks.spawn(self._fetch(room, changed.fetch))
                self._tell(room, changed.fields.keys())
            case Step.MISSED:
                self._load_again(room)
            case Step.EARLY if changed.fetch:
                self._again.add(room)
            case _:
                pass

    def forget(self, room: str) -> None:
        """The room is closed."""
        self.book.forget(room)
        self._again.discard(room)

    def _tell(self, room: str | None, names: Collection[str] | None) -> None:
        for listener in self.listeners:
            listener(room, names)

    # --- what is asked for ---------------------------------------------------------------------

    async def resync(self, rooms: Sequence[str | None]) -> None:
        """The connection was lost: load rules again. Raises StoreError."""
        for room, kept in zip(rooms, await self._rules.load(rooms), strict=True):
            if room is None or self.book.get(room).known:
                self.load(room, kept)

    def _load_again(self, room: str | None) -> None:
        self._again.add(room)
        if room not in self._loading:
            self._loading.add(room)
            self._tasks.spawn(self._load(room))

    async def _load(self, room: str | None) -> None:
        """Load rules until nothing is missing; a room's as long as it is open."""
        try:
            while room in self._again:
                try:
                    [kept] = await self._rules.load([room])
                except StoreError as error:
                    log.debug("asking for rules again in %.1f s: %s", RETRY_S, error)
                    await asyncio.sleep(RETRY_S)
                    continue
                if room is not None and not self.book.get(room).known:
                    self._again.discard(room)
                    return
                self._again.discard(room)
                self._counts[ChatCount.RULES_LOADED] += 1
                self.load(room, kept)
        finally:
            self._loading.discard(room)

    async def _fetch(self, room: str | None, names: Sequence[str]) -> None:
        """Fields that are too large for a stream."""
        while True:
            try:
                found = await self._rules.fetch(room, names)
            except StoreError:
                self._load_again(room)
                return
            rules = self.book.get(room)
            if not rules.known:
                return
            if found.version >= rules.version:  # else it may be older than what is known
                rules.put({name: found.fields.get(name) for name in names})
                self._tell(room, names)
                return

    async def _put_right(self, room: str | None, kept: Kept) -> None:
        """Rules were written back by a shard that knew less of them: what it did not know is added;
        what it did not know to be gone is taken out, unless they have been changed since."""
        known = self.book.get(room).fields()
        changes: dict[str, bytes | None] = {
            name: value
            for name, value in known.items()
            if name not in kept.fields or (_untouched(kept) and kept.fields[name] != value)
        }
        if _untouched(kept):
            changes |= {name: None for name in kept.fields if name not in known}
        try:
            if changes:
                log.warning("rules (%s) were written back without the newest", room or "all")
                await self._rules.change(room, changes, expected=kept.version)
            [kept] = await self._rules.load([room])
        except (StoreError, Outdated, Full) as error:
            log.warning("rules were not put right: %s", error)
            self._load_again(room)
            return
        if self.book.get(room).known:
            self._learn(room, kept)

    async def _restore(self, room: str | None, expected: int) -> None:
        """Redis has lost what is known here."""
        rules = self.book.get(room)
        if not rules.known:
            return
        log.warning("Redis has lost rules (%s): writing them back", room or "of everywhere")
        fields: dict[str, Any] = rules.fields()
        try:
            await self._rules.restore(room, fields, rules.version, expected)
        except (Outdated, Full):
            self._load_again(room)
        except StoreError as error:
            log.warning("rules were not written back: %s", error)


def _untouched(kept: Kept) -> bool:
    """Whether rules are as they were written back."""
    return kept.version == kept.restored + 2
