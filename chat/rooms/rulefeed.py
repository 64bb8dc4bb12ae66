"""Keeps what a shard knows of rules as Redis has them: loaded, followed, loaded again.

Rules. A room's rules come with the room when it is opened, those of everywhere when the shard
begins; after that the streams tell what changed. Whoever misses a change, because a stream was cut
or trimmed, sees it at the next by its version, or after every break, and loads them whole. Until
they could be loaded a room is not open; of everywhere, nothing is forbidden until then.

Redis may have lost rules that are known here: it came back empty, or with an earlier version. What
it lacks is given back and holds meanwhile; what it has counts. So rules are lost only when nobody
knows them any more, and what was lifted in the moments that Redis lost may hold again.

Danger: an answer may be older than what the streams have told since it was asked for. What seems
lost is therefore asked for once more.

`None`, where a room is named, is everywhere.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.entries import BadEntry, Changed, read_broadcast
from chat.bus.kept import Kept, Version, version
from chat.bus.rules import Full, Rules
from chat.counters import ChatCount
from chat.policy.rules import RoomRules, Rulebook, Step
from chat.tasks import Tasks
from shard.logids import about

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5

Listener = Callable[[str | None, Collection[str] | None], None]
"""Is told whose rules changed, and which fields; None: all of them may have."""
Reloaded = Callable[[str | None, RoomRules], None]
"""Is told whose rules were known and loaded again, and what they were before."""


class RuleFeed:
    """One shard's. `listeners` are told of every change, in order, and `reloaded` of what was there
    before, where rules came whole; `started` is set when the rules of everywhere are known."""

    def __init__(self, rules: Rules, book: Rulebook, counts: "memoryview[int]") -> None:
        self.book = book
        self.listeners: list[Listener] = []
        self.reloaded: list[Reloaded] = []
        self.started = asyncio.Event()
        self._rules = rules
        self._counts = counts
        self._loading: set[str | None] = set()
        self._again: set[str | None] = set()
        self._lost: dict[str | None, dict[str, bytes]] = {}
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
        if _is_behind(kept, self.book.get(room)):
            self._load_again(room)
        else:
            self._know(room, kept, {})

    def _know(self, room: str | None, kept: Kept, ours: Mapping[str, bytes]) -> None:
        """Rules as Redis has them; what it lacks of `ours` it has lost."""
        lost = self._lost.get(room, ours)  # what is being given back already is in `ours`, too
        lost = {name: value for name, value in lost.items() if name not in kept.fields}
        if lost and room not in self._lost:
            self._lost[room] = lost
            self._tasks.spawn(self._give_back(room, lost))
        both = Kept(kept.version, kept.fields | lost, kept.base)
        before = self.book.get(room)
        missed = self.book.load(room, both) is Step.MISSED
        if room is None:
            self.started.set()
        self._tell(room, None)
        for listener in self.reloaded if before.known else ():
            listener(room, before)
        if missed or room in self._again:
            self._load_again(room)

    def take(self, room: str, fields: Sequence[bytes]) -> None:
        """A control of a room: the fields of its stream entry."""
        try:
            told, control = version(fields[7]), read_broadcast(fields[5])
            if not isinstance(control, Changed):
                raise BadEntry("no change of a room's rules")
        except (ValueError, IndexError, BadEntry):
            self._counts[ChatCount.BAD_ENTRIES] += 1
            return
        self.apply(room, told, control)

    def apply(self, room: str | None, told: Version, changed: Changed) -> None:
        """A change that was told."""
        for name in self._lost.get(room, {}).keys() & changed.fields.keys():
            del self._lost[room][name]
        match self.book.apply(room, told, changed.fields):
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
                before = self.book.get(room).place
                try:
                    [kept] = await self._rules.load([room])
                except StoreError as error:
                    log.debug(
                        "asking for rules again in %.1f s: %s", RETRY_S, error, extra=about(room)
                    )
                    await asyncio.sleep(RETRY_S)
                    continue
                known = self.book.get(room)
                if room is not None and not known.known:
                    self._again.discard(room)
                    return
                behind = _is_behind(kept, known)
                if behind and known.place != before:
                    continue  # it may be older than what was told meanwhile
                self._again.discard(room)
                self._counts[ChatCount.RULES_LOADED] += 1
                self._know(room, kept, known.fields() if behind else {})
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

    async def _give_back(self, room: str | None, lost: Mapping[str, bytes]) -> None:
        """Redis has lost these; it is given them, however long that takes."""
        log.warning(
            "Redis has lost %d rules (%s)", len(lost), room or "of everywhere", extra=about(room)
        )
        try:
            while lost:
                try:
                    await self._rules.give_back(room, dict(lost))
                    return
                except StoreError as error:
                    log.debug("giving rules back in %.1f s: %s", RETRY_S, error)
                    await asyncio.sleep(RETRY_S)
        except Full as full:
            log.warning("rules could not be given back: %s", full)
        finally:
            del self._lost[room]


def _is_behind(kept: Kept, known: RoomRules) -> bool:
    """Whether what Redis has is earlier than what is known here, or was made anew."""
    return known.known and (kept.base != known.base or kept.version < known.version)
