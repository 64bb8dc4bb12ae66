"""Who calls, by key; what a key opens, and how often.

Rules. Pure but for the clock it is given. A key is compared as its SHA-256, in constant time and
with all of them, so that neither a key nor whose it is can be measured. What a request needs is
said in one table; what is not in it needs `moderate`, so that a route nobody thought of is not open
to those who may only publish or read.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, get_args

from chat.config.apikeys import DEFAULT
from chat.config.sections import Api, Scope
from chat.policy.rates import Rates

ALL: Final = frozenset[Scope](get_args(Scope))

NEEDED: Final[tuple[tuple[str, str, Scope | None], ...]] = (
    ("GET", "/v1/key", None),
    ("GET", "/v1/live", None),
    ("GET", "/v1/nodes", "metrics"),
    ("GET", "/v1/rooms/{room}/live", "read"),
    ("POST", "/v1/rooms/{room}/messages", "publish"),
    ("POST", "/v1/broadcast", "publish"),
    ("GET", "/v1/rooms/{room}/messages", "read"),
    ("GET", "/v1/rooms/{room}/settings", "read"),
    ("GET", "/v1/rooms/{room}", "read"),
    ("GET", "/v1/rooms", "read"),
    ("GET", "/metrics", "metrics"),
    ("POST", "/api/publish", "publish"),
    ("POST", "/api/broadcast", "publish"),
    ("POST", "/api/presence_stats", "read"),
    ("POST", "/api/history", "read"),
    ("POST", "/api/channels", "read"),
    ("POST", "/api/info", "read"),
)
"""What a request needs, by method and path, None where any key will do; anything else needs
`moderate`."""

CALLS: Final = "/api/"

_PATTERNS: Final = [
    (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), scope) for method, path, scope in NEEDED
]


def needed(method: str, path: str) -> Scope | None:
    """The scope that a request needs, None where any key will do; one of Centrifugo's calls needs
    its own by any method."""
    asked = "GET" if method == "HEAD" else method
    if path.startswith(CALLS):
        asked = "POST"
    for known, pattern, scope in _PATTERNS:
        if known == asked and pattern.fullmatch(path):
            return scope
    return "moderate"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a key's holder, or this machine where there are no keys."""

    name: str
    scopes: frozenset[Scope]


LOCAL: Final = Caller("local", ALL)


class Keyring:
    """The keys that are configured. `clock` is seconds, monotonic."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._rates: dict[tuple[str, int, int], Rates] = {}
        self._rate_of: dict[str, Rates] = {}
        self.apply()

    def apply(self) -> None:
        """The keys have changed; one whose rate has not goes on with what it has used."""
        api, before = self._api, self._rates
        self._holders: list[tuple[bytes, Caller]] = []
        self._rates, self._rate_of = {}, {}
        if api.key:
            self._holders.append((sha256(api.key.encode()).digest(), Caller(DEFAULT, ALL)))
        for key in api.keys:
            self._holders.append((key.digest, Caller(key.name, frozenset(key.scopes))))
            if key.per_s:
                rate = key.name, key.per_s, key.burst or key.per_s
                self._rates[rate] = before.get(rate) or Rates(1, *rate[1:])
                self._rate_of[key.name] = self._rates[rate]

    def __bool__(self) -> bool:
        return bool(self._holders)

    def find(self, given: bytes) -> Caller | None:
        """Whose key it is."""
        digest, found = sha256(given).digest(), None
        for known, caller in self._holders:  # all of them, whichever it is
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def wait_s(self, caller: Caller) -> float:
        """0.0 and the request is counted, or in how many seconds its key may make one more."""
        rates = self._rate_of.get(caller.name)
        return 0.0 if rates is None else rates.wait(0, self._clock())
