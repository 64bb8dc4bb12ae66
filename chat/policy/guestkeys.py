"""The keys by which guests come back as who they were.

Rules. A key is a guest's number and its HMAC (RFC 2104, SHA-256, cut to 128 bits): nothing is kept
of a guest until it comes back. The secret is made of `auth.secret`; where there is none, all shards
of all nodes share one that Redis keeps. Until that is known there are no keys, and none is taken.

Danger: who has a guest's key is that guest. It goes to nobody else and into no log.
"""

import hmac
import re
import secrets
from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from chat.bus.store import Store

_KEY: Final = re.compile(r"([0-9a-z]{1,48})\.([0-9A-Za-z_-]{22})")
_PURPOSE: Final = b"guests of danmaku"
"""What `auth.secret` signs for users can never be a guest's key, nor the other way round."""
_MAC_BYTES: Final = 16
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_PAD: Final = b"=\n"
_BLOCK: Final = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class GuestKeys:
    """Made and read with one secret; "" as long as there is none."""

    def __init__(self, secret: str = "") -> None:
        self._configured = bool(secret)
        self._shared = ""
        self._key = b""
        if secret:
            self._use(secret)

    def _use(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, "sha256")
        # A MAC goes on from the two blocks that every one of this key begins with: a fourth of
        # what `hmac.digest` takes, once per guest that connects.
        padded = self._key.ljust(_BLOCK, b"\0")
        self._inner, self._outer = (
            sha256(padded.translate(_INNER)),
            sha256(padded.translate(_OUTER)),
        )

    @property
    def known(self) -> bool:
        """Whether there are keys."""
        return bool(self._key)

    async def agree(self, store: Store) -> None:
        """Share a secret with all other shards, unless one is configured. Raises StoreError.

        A Redis that came back empty is told the one that was shared before.
        """
        if not self._configured:
            self._shared = await store.guest_secret(self._shared or secrets.token_hex(32))
            self._use(self._shared)

    def of(self, number: str) -> str | None:
        """A guest's key."""
        return f"{number}.{self._mac(number)}" if self._key else None

    def number(self, key: str) -> str | None:
        """Whose key it is; None for one that is not ours."""
        parts = _KEY.fullmatch(key)
        if parts is None or not self._key:
            return None
        number, mac = parts.groups()
        return number if hmac.compare_digest(mac, self._mac(number)) else None

    def _mac(self, number: str) -> str:  # hot: once per guest that connects
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(number.encode())
        outer.update(inner.digest())
        mac = outer.digest()[:_MAC_BYTES]
        return b2a_base64(mac).translate(_URL_SAFE, _PAD).decode()
