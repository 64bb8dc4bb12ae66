"""The keys by which guests come back as who they were.

Rules. A key is a guest's number and its MAC (keyed BLAKE2s, RFC 7693, of 128 bits): nothing is kept
of a guest until it comes back. The secret is made of `auth.secret`, and keys of the one before are
taken and replaced; where there is none, all shards of all nodes share one that Redis keeps. Until
that is known there are no keys, and none is taken.

Danger: who has a guest's key is that guest. It goes to nobody else and into no log.
"""

import hmac
import re
import secrets
from hashlib import blake2s
from typing import Final

from chat.bus.store import Store

_KEY: Final = re.compile(r"([0-9a-z]{1,48})\.([0-9a-f]{32})")
_PURPOSE: Final = b"guests of danmaku"
"""What `auth.secret` signs for users can never be a guest's key, nor the other way round."""
_MAC_BYTES: Final = 16


class _Macs:
    """Those of one secret: keyed BLAKE2s, which takes less than half of what an HMAC does."""

    def __init__(self, secret: str) -> None:
        key = hmac.digest(secret.encode(), _PURPOSE, "sha256")
        self._keyed = blake2s(key=key, digest_size=_MAC_BYTES)

    def of(self, number: str) -> str:  # hot: once per guest that connects
        mac = self._keyed.copy()
        mac.update(number.encode())
        return mac.hexdigest()


class GuestKeys:
    """Made with one secret, read with that and the one `before`; "" as long as there is none."""

    def __init__(self, secret: str = "", before: str = "") -> None:
        self._shared = ""
        self.set(secret, before)

    def set(self, secret: str, before: str) -> None:
        """Keys are made and read with these from now on; with the shared secret where there is
        none, once that is known."""
        self._configured = bool(secret)
        secret = secret or self._shared
        self._macs = _Macs(secret) if secret else None
        self._before = _Macs(before) if before else None

    @property
    def known(self) -> bool:
        """Whether there are keys."""
        return self._macs is not None

    async def agree(self, store: Store) -> None:
        """Share a secret with all other shards, unless one is configured. Raises StoreError.

        A Redis that came back empty is told the one that was shared before.
        """
        if not self._configured:
            self._shared = await store.guest_secret(self._shared or secrets.token_hex(32))
            if not self._configured:  # one may have been, meanwhile
                self._macs = _Macs(self._shared)

    def of(self, number: str) -> str | None:
        """A guest's key."""
        return f"{number}.{self._macs.of(number)}" if self._macs else None

    def number(self, key: str) -> str | None:
        """Whose key it is; None for one that is not ours."""
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None
        number, mac = parts.groups()
        made = [macs.of(number) for macs in (self._macs, self._before) if macs is not None]
        return number if any(hmac.compare_digest(mac, ours) for ours in made) else None
