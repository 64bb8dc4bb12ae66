"""The gate: what may be said, decided by a chain of checks, for viewers and backends alike.

    a viewer    rate -> membership -> rights -> text
    a backend                    uid -> name -> badges -> text

Rules. A check looks at one Attempt and lets it pass or refuses it; it sends nothing. The cheap ones
come first; a viewer is told the first refusal, a backend all of them. A check may clean what is to
be said, which the next ones then see. To add a rule is to add a check.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from msgspec import Struct, structs

from chat.config.sections import Auth, Limits
from chat.policy.claims import badges_problem
from chat.policy.identity import USER, Identity
from chat.policy.rates import Rates
from chat.policy.text import clean_text, is_clean, text_problem
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
    """A backend says who speaks, by a uid that is clean."""
    if is_clean(attempt.who.uid):
        return PASS
    message = "a uid is one line without spaces around it"
    return Refusal(ErrorCode.BAD_REQUEST, message, field="uid")


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
        self._rates = Rates(rows, limits.commands_per_s, limits.commands_burst)
        self.reset = self._rates.reset
        self._clock = clock
        self._message = f"at most {limits.commands_per_s} commands a second"

    def spend(self, fd: int) -> None:
        """A connection was given what would have been a command: its next one may have to wait."""
        self._rates.spend(fd, self._clock())

    def passes(self, fd: int) -> Verdict:
        """Whether a connection may have one more command now."""
        wait = self._rates.wait(fd, self._clock())
        return Refusal(ErrorCode.RATE_LIMITED, self._message, round(wait, 2)) if wait else PASS
