"""The gate: what may be said, decided by a chain of checks, for viewers and backends alike.

    a viewer    rate -> membership -> rights -> rules -> text -> words
    a backend                    uid -> name -> badges -> text

Rules. A check looks at one Attempt and lets it pass or refuses it; it sends nothing. The cheap ones
come first; a viewer is told the first refusal, a backend all of them. A check may clean what is to
be said, which the next ones then see. To add a rule is to add a check.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from msgspec import Struct, structs

from chat.config.sections import Auth, Limits
from chat.policy.claims import badges_problem
from chat.policy.identity import MAX_UID, USER, Identity
from chat.policy.rates import Rates, told_s
from chat.policy.roles import MODERATOR, rank
from chat.policy.rules import (
    BAN,
    KICK,
    MUTE,
    NO_SETTINGS,
    RoomRules,
    Rulebook,
    Sanction,
    Settings,
)
from chat.policy.text import clean_text, text_problem, uid_problem
from chat.wire.schema import GUEST, NORMAL_SIZE, SCROLL, WHITE, ErrorCode


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something may not be said, and after how many seconds it may; None: never so.

    field  what of the attempt it is about, in a backend's words
    """

    code: ErrorCode
    message: str
    retry_after: float | None = None
    field: str = ""


PASS: Final = None
OPENING_S: Final = 0.5
"""About how long a room takes to be opened."""
BEATS_PER_S: Final = 1.0
BEATS_BURST: Final = 10
"""Signs of life that cost nothing: clients send one in thirty seconds, and one at once."""
Verdict = Refusal | None
"""PASS, or why not."""


class Attempt(Struct):
    """Something that somebody is about to say. `fd` is a viewer's connection, -1 a backend's.

    role      what `who` is in the room
    shadowed  whether only its sender is to see it

    color, mode, size, id  the rest of a viewer's message, for who is asked after the gate
    """

    room: str
    text: str
    who: Identity
    fd: int = -1
    role: str = USER
    shadowed: bool = False
    color: int = WHITE
    mode: str = SCROLL
    size: int = NORMAL_SIZE
    id: str = ""


Check = Callable[[Attempt], Verdict]


class Gate:
    """Checks in their order."""

    def __init__(self, *checks: Check) -> None:
        self._checks = checks

    def passes(self, attempt: Attempt) -> Verdict:
        """The first refusal, or PASS."""
        for check in self._checks:
            verdict = check(attempt)
            if verdict is not PASS:
                return verdict
        return PASS

    def refusals(self, attempt: Attempt) -> list[Refusal]:
        """All that is wrong at once, for one who mends it all at once."""
        verdicts = [check(attempt) for check in self._checks]
        return [verdict for verdict in verdicts if verdict is not PASS]


def membership(joined: Callable[[int, str], object]) -> Check:
    """Who speaks in a room has joined it: `joined` finds it among those of a connection."""

    def check(attempt: Attempt) -> Verdict:
        if joined(attempt.fd, attempt.room):
            return PASS
        return Refusal(ErrorCode.NOT_JOINED, "join the room first")

    return check


def rights(auth: Auth) -> Check:
    """Guests may type only where the configuration lets them."""

    def check(attempt: Attempt) -> Verdict:
        if attempt.who.role == GUEST and auth.guests != "type":
            return Refusal(ErrorCode.READ_ONLY, "guests may only read here")
        return PASS

    return check


def rules(book: Rulebook, wall: Callable[[], float]) -> Check:
    """What the room's rules and those of everywhere forbid: `wall` is seconds since 1970."""

    def check(attempt: Attempt) -> Verdict:  # hot: once per message typed
        here, everywhere = book.of(attempt.room), book.everywhere
        if not here.known:
            return Refusal(ErrorCode.UNAVAILABLE, "the room is being opened", OPENING_S)
        if here.sanctions or everywhere.sanctions:
            found = _sanctioned(here, everywhere, attempt.who.uid, wall)
            if found is not None:
                return found
        return PASS if here.settings is NO_SETTINGS else _settled(here.settings, attempt.role)

    return check


def unsanctioned(book: Rulebook, wall: Callable[[], float]) -> Check:
    """Who is muted or banned, in the room or everywhere, does nothing there."""

    def check(attempt: Attempt) -> Verdict:
        here, everywhere = book.of(attempt.room), book.everywhere
        if not here.known:
            return Refusal(ErrorCode.UNAVAILABLE, "the room is being opened", OPENING_S)
        if here.sanctions or everywhere.sanctions:
            return _sanctioned(here, everywhere, attempt.who.uid, wall)
        return PASS

    return check


def barred(here: RoomRules, uid: str, now_ms: int) -> Verdict:
    """Whether somebody may be in a room."""
    banned = here.get(BAN, uid, now_ms)
    if banned is not None:
        return _refusal(ErrorCode.BANNED, "you are banned here", banned, now_ms)
    kicked = here.get(KICK, uid, now_ms)
    if kicked is not None:
        return _refusal(ErrorCode.FORBIDDEN, "you were sent out", kicked, now_ms)
    return PASS


def _sanctioned(
    here: RoomRules, everywhere: RoomRules, uid: str, wall: Callable[[], float]
) -> Verdict:
    if not (here.names(uid) or everywhere.names(uid)):
        return PASS
    now_ms = int(wall() * 1000)
    refusal = barred(here, uid, now_ms)
    if refusal is not PASS:
        return refusal
    muted = here.get(MUTE, uid, now_ms), everywhere.get(MUTE, uid, now_ms)
    found = [one for one in muted if one is not None]
    if not found:
        return PASS
    longest = max(found, key=lambda one: one.until or math.inf)
    return _refusal(ErrorCode.MUTED, "you are muted", longest, now_ms)


def _refusal(code: ErrorCode, message: str, sanction: Sanction, now_ms: int) -> Refusal:
    said = f"{message}: {sanction.reason}" if sanction.reason else message
    return Refusal(code, said, sanction.retry_after(now_ms))


def _settled(settings: Settings, role: str) -> Verdict:
    """What a room's settings let a role do."""
    least, silence = settings.min_role, settings.silence
    if least != GUEST and rank(role) < rank(least):
        return Refusal(ErrorCode.FORBIDDEN, f"here type {least}s and above")
    if silence == "none":
        return PASS
    least = MODERATOR if silence == "all" else silence
    if rank(role) < rank(least):
        return Refusal(ErrorCode.SILENCED, f"the room is silent; only {least}s and above type")
    return PASS


def text(limits: Limits) -> Check:
    """There is something to read, on one line, of bounded length; `attempt.text` becomes that."""

    def check(attempt: Attempt) -> Verdict:
        attempt.text = clean_text(attempt.text)
        fault = text_problem(attempt.text, limits.text_chars)
        if fault is None:
            return PASS
        code = ErrorCode.TEXT_TOO_LONG if attempt.text else ErrorCode.TEXT_EMPTY
        return Refusal(code, fault, field="text")

    return check


def uid(attempt: Attempt) -> Verdict:
    """A backend says who speaks, by what may be a uid."""
    wrong = uid_problem(attempt.who.uid, MAX_UID)
    return Refusal(ErrorCode.BAD_REQUEST, wrong, field="uid") if wrong else PASS


def name(attempt: Attempt) -> Verdict:
    """There is a name to show; `attempt.who` gets it cleaned."""
    who = attempt.who
    attempt.who = structs.replace(who, name=clean_text(who.name))
    if attempt.who.name:
        return PASS
    return Refusal(ErrorCode.BAD_REQUEST, "the name is empty", field="name")


def badges(attempt: Attempt) -> Verdict:
    """What a backend says of who speaks can be shown."""
    wrong = badges_problem(attempt.who.badges)
    return Refusal(ErrorCode.BAD_REQUEST, wrong, field="badges") if wrong else PASS


@lru_cache
def backend_gate(limits: Limits) -> Gate:
    """What messages of the HTTP API pass."""
    return Gate(uid, name, badges, text(limits))


class CommandRate:
    """How many commands of any kind a connection may have: `limits.commands_per_s`.

    rows   of connections; clock: seconds, monotonic
    """

    def __init__(self, rows: int, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._rates = Rates(rows, limits.commands_per_s, limits.commands_burst)
        self._beats = Rates(rows, BEATS_PER_S, BEATS_BURST)
        self._clock = clock
        self.apply()

    def apply(self) -> None:
        """The limits have changed."""
        limits = self._limits
        self._rates.set(limits.commands_per_s, limits.commands_burst)
        self._message = f"at most {limits.commands_per_s} commands a second"

    def begin(self, fd: int, commands: int = 0) -> None:
        """A connection is new, and was given what would have been so many `commands`: its next one
        may have to wait."""
        self._rates.begin(fd, self._clock(), commands)

    def begin_beats(self, fd: int) -> None:
        """It gives signs of life that may be free."""
        self._beats.begin(fd, self._clock(), 0)

    def beats(self, fd: int) -> bool:
        """Whether a sign of life is one of the few that are free; else it counts as a command."""
        return not self._beats.wait(fd, self._clock())

    def passes(self, fd: int) -> Verdict:
        """Whether a connection may have one more command now."""
        wait = self._rates.wait(fd, self._clock())
        return Refusal(ErrorCode.RATE_LIMITED, self._message, told_s(wait)) if wait else PASS
