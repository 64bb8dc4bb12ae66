"""What is forbidden whom, and what a room's rules are, as one shard knows them.

Rules. Pure: no I/O, and time is passed in. Read synchronously, by every check; nothing per message
asks Redis. It is loaded whole and then changed as the streams tell, version by version: whatever
order it comes in, what is known is what Redis had at that version, or it says that something was
missed. A mute or ban that is timed ends by itself, at its time, everywhere.

A mute or ban stays the bytes it came as, because there may be a hundred thousand and only those of
somebody who is here are ever looked at. Bytes that are nothing of ours forbid nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum, auto
from ipaddress import ip_address
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.bus.kept import Kept, Version
from chat.policy.rates import told_s
from chat.wire.commands import Silence
from chat.wire.schema import UNREADABLE

MUTE: Final = "mute"
BAN: Final = "ban"
KICK: Final = "kick"
ADDRESS: Final = "address"
SETTINGS: Final = "settings"
OWNERS: Final = "owners"
WORDS: Final = "words"

EARLY: Final = 100
"""Changes that are kept while rules are being loaded; who misses more loads them again."""
SWEPT: Final = 1_000
"""Mutes and bans looked at in one sweep: some tenths of a millisecond."""


class Sanction(Struct, array_like=True, gc=False, frozen=True):
    """A mute, a ban or a kick. `until` is milliseconds since 1970, 0 for good; `by` is a uid."""

    until: int
    reason: str = ""
    by: str = ""

    def holds(self, now_ms: int) -> bool:
        """Whether it has not ended."""
        return not self.until or now_ms < self.until

    def retry_after(self, now_ms: int) -> float | None:
        """Seconds until it ends; None: never."""
        return told_s((self.until - now_ms) / 1000) if self.until else None


class Settings(Struct, omit_defaults=True, frozen=True):
    """What a moderator sets in a room. What comes after `announcement` is nothing viewers are told.

    pinned  a message as in a history, with its seq
    """

    slow_s: int = 0
    silence: Silence = "none"
    no_repeats_s: int = 0
    min_role: str = "guest"
    pinned: dict[str, Any] | None = None
    announcement: str | None = None
    messages_per_s: int = 0
    shown_per_s: int = 0
    merge_duplicates: bool = False
    join_notices: bool = False

    def state(self) -> dict[str, Any]:
        """What viewers are told, whole."""
        return {
            "slow_s": self.slow_s,
            "silence": self.silence,
            "no_repeats_s": self.no_repeats_s,
            "min_role": self.min_role,
            "pinned": self.pinned,
            "announcement": self.announcement,
        }


_encode: Final = msgspec.msgpack.Encoder().encode
_sanction: Final = msgspec.msgpack.Decoder(Sanction).decode
_settings: Final = msgspec.msgpack.Decoder(Settings).decode
_owners: Final = msgspec.msgpack.Decoder(tuple[str, ...]).decode


def pack_sanction(sanction: Sanction) -> bytes:
    """As a field of rules; likewise below."""
    return _encode(sanction)


def pack_settings(settings: Settings) -> bytes:
    return _encode(settings)


def pack_owners(owners: Collection[str]) -> bytes:
    return _encode(sorted(owners))


def read_sanction(packed: bytes) -> Sanction | None:
    """None for what is none of ours."""
    try:
        return _sanction(packed)
    except UNREADABLE:
        return None


class RoomRules:
    """The rules of one room, or of everywhere.

    known  whether they have been loaded; what is not known forbids nothing by itself
    words  packed lists of words; who knows the same object knows the same lists
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self.known = kept is not None
        self.version = self.base = 0
        self.settings = NO_SETTINGS
        self.owners: frozenset[str] = frozenset()
        self.words = b""
        self.sanctions: dict[str, dict[str, bytes]] = {}
        self._others: dict[str, bytes] = {}
        self._lengths: Counter[int] = Counter()
        if kept is not None:
            self.version, self.base = kept.version, kept.base
            self.put(kept.fields)

    @property
    def place(self) -> Version:
        """Which rules they are."""
        return Version(self.base, self.version)

    def put(self, fields: Mapping[str, bytes | None]) -> None:
        """These fields are this now; None: gone."""
        for name, value in fields.items():
            kind, colon, whose = name.partition(":")
            if colon:
                self._sanction(kind, whose, value)
                continue
            if value is None:
                self._others.pop(name, None)
            else:
                self._others[name] = value
            if kind == SETTINGS:
                self.settings = _read(_settings, value, NO_SETTINGS)
            elif kind == OWNERS:
                self.owners = frozenset(_read(_owners, value, ()))
            elif kind == WORDS:
                self.words = value or b""

    def _sanction(self, kind: str, whose: str, value: bytes | None) -> None:
        there = self.sanctions.get(kind, {})
        if kind == ADDRESS and (whose in there) is (value is None):
            self._count(_length(whose), -1 if value is None else 1)
        if value is not None:
            self.sanctions.setdefault(kind, there)[whose] = value
        elif there.pop(whose, None) is not None and not there:
            del self.sanctions[kind]

    def _count(self, length: int, more: int) -> None:
        """So many more networks of such a prefix are banned."""
        self._lengths[length] += more
        if not self._lengths[length]:
            del self._lengths[length]

    def fields(self) -> dict[str, bytes]:
        """What it was made of, and changed by."""
        found = dict(self._others)
        for kind, there in self.sanctions.items():
            found |= {f"{kind}:{whose}": value for whose, value in there.items()}
        return found

    def names(self, whose: str) -> bool:  # hot: once per message typed
        """Whether there is a sanction of any kind that is somebody's, ended or not."""
        for there in self.sanctions.values():  # noqa: SIM110 - a generator costs more than the rest
            if whose in there:
                return True
        return False

    def get(self, kind: str, whose: str, now_ms: int) -> Sanction | None:
        """The sanction of a kind that holds for somebody now."""
        there = self.sanctions.get(kind)
        packed = there.get(whose) if there else None
        found = None if packed is None else read_sanction(packed)
        return found if found is not None and found.holds(now_ms) else None

    def all(self, kind: str, now_ms: int) -> Iterator[tuple[str, Sanction]]:
        """All of a kind that hold now."""
        for whose in list(self.sanctions.get(kind, ())):
            found = self.get(kind, whose, now_ms)
            if found is not None:
                yield whose, found

    def sweep(self, kind: str, whose: str, now_ms: int) -> None:
        """Forget one that has ended."""
        packed = self.sanctions.get(kind, {}).get(whose)
        found = None if packed is None else read_sanction(packed)
        if found is not None and not found.holds(now_ms):
            self._sanction(kind, whose, None)

    def ended(self, now_ms: int) -> Iterator[str]:
        """The fields of those that do not hold any more."""
        for kind, there in self.sanctions.items():
            for whose, packed in there.items():
                found = read_sanction(packed)
                if found is None or not found.holds(now_ms):
                    yield f"{kind}:{whose}"

    def address(self, address: str, now_ms: int) -> Sanction | None:
        """The ban that holds for an address, by itself or by a network it is in."""
        for name in _covering(address, list(self._lengths)):
            found = self.get(ADDRESS, name, now_ms)
            if found is not None:
                return found
        return None


def _read(decode: Any, value: bytes | None, default: Any) -> Any:
    if value is None:
        return default
    try:
        return decode(value)
    except UNREADABLE:
        return default


NO_SETTINGS: Final = Settings()
UNKNOWN: Final = RoomRules()
"""Those of a room that is not open here."""


def _length(network: str) -> int:
    """The bits of a network's prefix; -1 for a single address."""
    _, slash, bits = network.partition("/")
    return int(bits) if slash and bits.isdecimal() else -1


def _covering(address: str, lengths: Iterable[int]) -> Iterator[str]:
    """An address, and the networks of such prefixes that it is in, as they are written."""
    try:
        ip = ip_address(address)
    except ValueError:
        return
    bits, kind = int(ip), type(ip)
    for length in lengths:
        rest = ip.max_prefixlen - length
        if length < 0:
            yield str(ip)
        elif rest >= 0:
            yield f"{kind(bits >> rest << rest)}/{length}"


class Step(Enum):
    """What became of a change that was told."""

    DONE = auto()
    KNOWN = auto()
    EARLY = auto()
    MISSED = auto()


class Rulebook:
    """The rules that one shard knows: of everywhere, and of the rooms that are open here."""

    def __init__(self) -> None:
        self._books: dict[str | None, RoomRules] = {}
        self._early: dict[str | None, list[tuple[Version, Mapping[str, bytes | None]]]] = {}
        self._to_sweep: Iterator[tuple[RoomRules, str, str]] = iter(())
        self.everywhere = UNKNOWN

    def get(self, room: str | None) -> RoomRules:
        """A room's, or those of everywhere; UNKNOWN where they have not been loaded."""
        return self._books.get(room, UNKNOWN)

    def of(self, room: str) -> RoomRules:  # hot: once per message typed
        """A room's; UNKNOWN where it has not been loaded."""
        return self._books.get(room, UNKNOWN)

    def load(self, room: str | None, kept: Kept) -> Step:
        """Rules as Redis has them; MISSED when what was told meanwhile does not follow on them."""
        self._books[room] = rules = RoomRules(kept)
        if room is None:
            self.everywhere = rules
        for version, fields in self._early.pop(room, ()):
            if self.apply(room, version, fields) is Step.MISSED:
                return Step.MISSED
        return Step.DONE

    def apply(self, room: str | None, version: Version, fields: Mapping[str, bytes | None]) -> Step:
        """A change that was told. EARLY: it waits for the rules to be loaded."""
        rules = self._books.get(room)
        if rules is None:
            early = self._early.setdefault(room, [])
            early.append((version, fields))
            del early[:-EARLY]
            return Step.EARLY
        if version.base == rules.base and version.number <= rules.version:
            return Step.KNOWN
        first = not rules.version and version.base == version.number
        if not first and version != (rules.base, rules.version + 1):
            return Step.MISSED
        rules.put(fields)
        rules.base, rules.version = version
        return Step.DONE

    def forget(self, room: str) -> None:
        """The room is closed here."""
        self._books.pop(room, None)
        self._early.pop(room, None)

    def muted_until(self, room: str, uid: str, now_ms: int) -> int | None:
        """When somebody's mutes end there, in ms since 1970, 0 for never; None who has none."""
        found = [
            one.until
            for rules in (self.of(room), self.everywhere)
            if (one := rules.get(MUTE, uid, now_ms)) is not None
        ]
        return None if not found else 0 if 0 in found else max(found)

    def sweep(self, now_ms: int) -> None:
        """Forget some of what has ended; called again and again, all of it."""
        swept = 0
        for rules, kind, whose in islice(self._to_sweep, SWEPT):
            rules.sweep(kind, whose, now_ms)
            swept += 1
        if swept < SWEPT:
            self._to_sweep = self._all()

    def _all(self) -> Iterator[tuple[RoomRules, str, str]]:
        for rules in list(self._books.values()):
            for kind, there in list(rules.sanctions.items()):
                for whose in list(there):
                    yield rules, kind, whose
