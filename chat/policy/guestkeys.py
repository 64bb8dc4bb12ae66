"""The keys by which guests come back as who they were.

Rules. A key is a guest's number and its HMAC (RFC 2104, SHA-256, cut to 128 bits): nothing is kept
of a guest until it comes back. The secret is made of `auth.secret`, and keys of the one before are
taken and replaced; where there is none, all shards of all nodes share one that Redis keeps. Until
that is known there are no keys, and none is taken.

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


class _Macs:
    """Those of one secret. Each goes on from the two blocks that all of them begin with, which is a
    fourth of what `hmac.digest` takes."""

    def __init__(self, secret: str) -> None:
        key = hmac.digest(secret.encode(), _PURPOSE, "sha256").ljust(_BLOCK, b"\0")
        self._inner, self._outer = map(sha256, (key.translate(_INNER), key.translate(_OUTER)))

    def of(self, number: str) -> str:  # hot: once per guest that connects
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(number.encode())
        outer.update(inner.digest())
        mac = outer.digest()[:_MAC_BYTES]
        return b2a_base64(mac).translate(_URL_SAFE, _PAD).decode()


class GuestKeys:
    """Made with one secret, read with that and the one `before`; "" as long as there is none."""

    def __init__(self, secret: str = "", before: str = "") -> None:
        self._configured = bool(secret)
        self._shared = ""
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
