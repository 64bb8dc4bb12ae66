"""Telling a service of something by HTTP until it has taken it.

Rules. Any 2xx has taken it; whatever else, or nothing within the timeout, has not, and the same
body is sent again, after a pause that grows, at a random moment of it. 4xx says that trying again
will not help; it is tried all the same, because a service is mended more often than not, and said.
Redirects are not followed: a POST is not to end up somewhere else. Connections are kept, and the
environment's proxies not asked.

Danger: a service may have taken what its answer was lost of. So each body has an ID that is the
same whenever it is sent again.
"""

import asyncio
import hmac
import logging
import random
import time
from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import httpx

from chat.config.sections import Webhooks, public_url
from chat.counters import NodeCount

log = logging.getLogger(__name__)
for noisy in ("httpx", "httpcore"):  # a line per request
    logging.getLogger(noisy).setLevel(logging.WARNING)

BASE_S: Final = 0.5
MOST_S: Final = 30.0
AGAIN_SAID_S: Final = 60.0
"""Seconds between two lines about a service that does not take anything."""
KEPT_S: Final = 4.0
"""How long an idle connection is kept: many servers close theirs after five."""
MAX_ANSWER: Final = 65_536
"""Bytes of an answer that are read, so that its connection may be kept."""
HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "danmaku"}


class TooLarge(Exception):
    """The service takes no body of this size."""


class Deliveries:
    """The way to one service.

    clock  seconds, monotonic
    """

    def __init__(
        self,
        webhooks: Webhooks,
        counts: "memoryview[int]",
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._url = webhooks.url
        self._where = public_url(webhooks.url)
        self._webhooks = webhooks
        self._counts = counts
        self._clock = clock
        self._chance = chance
        self._failing_since: float | None = None
        self._said = 0.0
        most = httpx.Limits(max_connections=4, keepalive_expiry=KEPT_S)
        self._client = httpx.AsyncClient(limits=most, timeout=None, trust_env=False)

    async def close(self) -> None:
        """Nothing more will be sent."""
        await self._client.aclose()

    async def deliver(self, body: bytes, wanted: Callable[[], bool]) -> bool:
        """Send until it is taken, as long as it is `wanted` to be; whether it was.

        Raises TooLarge when the service says that it is.
        """
        most_s = BASE_S
        while wanted():
            why, after_s = await self._post(body, self._headers(body))
            if not why:
                self._succeeded()
                return True
            self._failed(why)
            await asyncio.sleep(max(self._chance() * most_s, min(after_s, MOST_S)))
            most_s = min(2 * most_s, MOST_S)
        return False

    def _headers(self, body: bytes) -> dict[str, str]:
        """Signed with the secret there is now, which may change between two attempts."""
        headers = HEADERS | {"X-Danmaku-Delivery": sha256(body).hexdigest()[:32]}
        if self._webhooks.secret:
            secret = self._webhooks.secret.encode()
            headers["X-Danmaku-Signature"] = signature(secret, body)
        return headers

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[str, float]:
        """Why it was not taken, "" when it was; and the seconds it is asked to wait."""
        timeout_s = self._webhooks.timeout_s
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    raise TooLarge
                read = 0
                async for chunk in response.aiter_raw():
                    read += len(chunk)
                    if read > MAX_ANSWER:
                        break
        except TimeoutError:
            return f"it did not answer within {timeout_s} s", 0.0
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}".rstrip(": "), 0.0
        status = response.status_code
        if 200 <= status < 300:
            return "", 0.0
        final = 400 <= status < 500 and status not in (408, 429)
        hint = ", which sending again may not mend" if final else ""
        return f"it answered {status}{hint}", _seconds(response.headers.get("retry-after", ""))

    def _succeeded(self) -> None:
        if self._failing_since is not None:
            took_s = self._clock() - self._failing_since
            log.info("%s takes webhooks again, after %.0f s", self._where, took_s)
            self._failing_since = None

    def _failed(self, why: str) -> None:
        self._counts[NodeCount.WEBHOOK_REQUESTS_FAILED] += 1
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = self._said = now
            log.warning("%s does not take webhooks, they wait: %s", self._where, why)
        elif now - self._said >= AGAIN_SAID_S:
            self._said = now
            since_s = now - self._failing_since
            log.error("%s has taken no webhooks for %.0f s: %s", self._where, since_s, why)


def signature(secret: bytes, body: bytes) -> str:
    """What vouches for a body: `sha256=` and the HMAC in hexadecimal."""
    return f"sha256={hmac.digest(secret, body, 'sha256').hex()}"


def _seconds(text: str) -> float:
    """A Retry-After in seconds; a date is not waited for."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0.0
