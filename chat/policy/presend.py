"""The presend callback: an operator's service that is sent messages before they are published.

    POST  [{"room", "uid", "name", "role", "text", "color", "mode", "size", "id"?}]
    200   [null, {"refuse": {"message", "retry_after"?}}, {"text"}, {"mask"}, {"shadow"}]

Rules. One request is a turn's messages, and its answer has a verdict for each, in their order; one
that has not, is no JSON of that form, is not 200 or is late has none for any. A circuit breaker
spares who types the wait while the service is away. Connections are kept, redirects not followed,
and the environment's proxies not asked.
"""

import asyncio
import hmac
import logging
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import httpx
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chat.bus.breaker import Breaker, Circuit
from chat.config.sections import Limits, Rooms, public_url
from chat.counters import ChatCount
from chat.policy import gate
from chat.policy.gate import PASS, Attempt, Verdict
from chat.policy.outside import Failing, refused, reword
from chat.wire.schema import UNREADABLE

for noisy in ("httpx", "httpcore"):  # a line per request
    logging.getLogger(noisy).setLevel(logging.WARNING)

MAX_MESSAGES: Final = 200
"""Of a request: some 50 KB, as a rule."""
CONNECTIONS: Final = 16
KEPT_S: Final = 4.0
"""How long an idle connection is kept: many servers close theirs after five."""
MAX_ANSWER: Final = 4_194_304
"""Bytes of an answer: two hundred of the longest texts there may be, however they are escaped."""
HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "danmaku"}


class Asked(Struct, frozen=True):
    """A message as the service sees it; `role` is what its sender is in the room."""

    room: str
    uid: str
    name: str
    role: str
    text: str
    color: int
    mode: str
    size: int
    id: str | UnsetType = UNSET


class Refusing(Struct, frozen=True, forbid_unknown_fields=True):
    """It is refused; `message` is for the viewer."""

    message: str = "not allowed"
    retry_after: Annotated[float, Meta(ge=0, le=1e6)] | None = None


class Judged(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a message. A field that is unknown is no answer: it might have been a no.

    text    what is said instead
    mask    of which every occurrence, whatever its case, becomes asterisks
    shadow  whether only its sender sees it
    """

    allow: bool = True
    refuse: Refusing | None = None
    text: str | None = None
    mask: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=100)] = ()
    shadow: bool = False


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[Judged | None]).decode


class NoAnswer(Exception):
    """The service has not answered in a way that means something."""


class Presend:
    """One shard's way to the service.

    clock  seconds, monotonic
    """

    def __init__(
        self,
        rooms: Rooms,
        limits: Limits,
        counts: "memoryview[int]",
        clock: Callable[[], float],
    ) -> None:
        self._rooms = rooms
        self._url = rooms.presend_url
        self._failing = Failing(rooms.presend_failing, counts, clock)
        self._text = gate.text(limits)
        self._counts = counts
        self._clock = clock
        self._breaker = Breaker()
        most = httpx.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEPT_S,
        )
        self._client = httpx.AsyncClient(limits=most, timeout=None, trust_env=False)
        self.apply()

    def apply(self) -> None:
        """The configuration has changed; requests under way have the time they had."""
        self._secret = self._rooms.presend_secret.encode()
        self._timeout_s = self._rooms.presend_timeout_ms / 1000
        self._failing.mode = self._rooms.presend_failing

    async def close(self) -> None:
        """No more will be asked."""
        await self._client.aclose()

    async def check(self, attempts: Sequence[Attempt]) -> Sequence[Verdict]:
        """What of a turn's messages may be said."""
        if not self._breaker.allows(self._clock()):
            return self._unchecked(len(attempts))
        try:
            judged = await self._ask(attempts)
        except Exception as error:
            self._judge(False)
            self._counts[ChatCount.PRESEND_FAILED] += 1
            rooms = {attempt.room for attempt in attempts}
            room = rooms.pop() if len(rooms) == 1 else None
            self._failing.say(f"no answer from {public_url(self._url)}", _worded(error), room)
            return self._unchecked(len(attempts))
        except asyncio.CancelledError:
            self._judge(False)
            raise
        self._judge(True)
        return [self._verdict(*both) for both in zip(attempts, judged, strict=True)]

    def _unchecked(self, messages: int) -> Sequence[Verdict]:
        after = max(0.5, self._breaker.retry_after(self._clock()))
        return [self._failing.verdict(messages, after)] * messages

    def _judge(self, answered: bool) -> None:
        if answered:
            self._breaker.succeeded()
        else:
            self._breaker.failed(self._clock())
        self._counts[ChatCount.PRESEND_OPEN] = self._breaker.state is not Circuit.CLOSED

    async def _ask(self, attempts: Sequence[Attempt]) -> Sequence[Judged | None]:
        """A verdict for each. Raises NoAnswer, TimeoutError and what httpx raises."""
        body = _encode([_asked(attempt) for attempt in attempts])
        headers = dict(HEADERS)
        if self._secret:
            headers["X-Danmaku-Signature"] = signature(self._secret, body)
        async with (
            asyncio.timeout(self._timeout_s),
            self._client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise NoAnswer(f"it answered {response.status_code}")
            answer = await _read(response)
        try:
            judged = _decode(answer)
        except UNREADABLE as error:
            raise NoAnswer(f"it answered what is no list of verdicts: {error}") from None
        if len(judged) != len(attempts):
            raise NoAnswer(f"it answered {len(judged)} verdicts on {len(attempts)} messages")
        return judged

    def _verdict(self, attempt: Attempt, judged: Judged | None) -> Verdict:
        if judged is None:
            return PASS
        if judged.refuse is not None or not judged.allow:
            self._counts[ChatCount.REFUSED_BY_PRESEND] += 1
            no = judged.refuse or Refusing()
            return refused(no.message, no.retry_after)
        said = attempt.text if judged.text is None else judged.text
        attempt.shadowed = attempt.shadowed or judged.shadow
        return reword(attempt, masked(said, judged.mask), self._text)


def signature(secret: bytes, body: bytes) -> str:
    """What vouches for a body: `sha256=` and the HMAC in hexadecimal."""
    return f"sha256={hmac.digest(secret, body, 'sha256').hex()}"


def masked(text: str, words: Sequence[str]) -> str:
    """`text` with as many asterisks in place of the words."""
    if not words:
        return text
    longest_first = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.sub(longest_first, lambda found: "*" * len(found[0]), text, flags=re.IGNORECASE)


def _asked(attempt: Attempt) -> Asked:
    who = attempt.who
    return Asked(
        *(attempt.room, who.uid, who.name, attempt.role, attempt.text),
        *(attempt.color, attempt.mode, attempt.size, attempt.id or UNSET),
    )


async def _read(response: httpx.Response) -> bytes:
    """The whole answer, unless it is more than any can be."""
    answer = bytearray()
    async for chunk in response.aiter_bytes():
        answer += chunk
        if len(answer) > MAX_ANSWER:
            raise NoAnswer("its answer has no end")
    return bytes(answer)


def _worded(error: Exception) -> Exception:
    """An exception that says what it is; one of ours does by itself."""
    if isinstance(error, NoAnswer):
        return error
    return NoAnswer(f"{type(error).__name__}: {error}".rstrip(": "))
