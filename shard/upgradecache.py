"""Upgrade requests that differ only in their key: parsed once, answered from memory.

Rules. What is remembered is a header block cut out around its key, with `respond`'s verdict on it,
found by parsing the block with a stand-in key. The cut is at the start of a header line and the key
is checked first, so parsing the block with its own key would say the same. Any other request is
parsed in full.

Strategy: viewers of one page send the same block, browser by browser, and a room that fills or
reconnects is one long run of them. The blocks of viewers with cookies or tokens differ, so they
only pass through the cache: it is small and forgets the least used.
"""

from binascii import b2a_base64
from functools import lru_cache
from hashlib import sha1

from shard.handshake import END_OF_HEADERS, Accepted, Reply, Terms, respond
from shard.wires.websocket import is_key

BEFORE_KEY = b"\r\nSec-WebSocket-Key: "
KEY_CHARS = 24
STAND_IN = b"c3RhbmRzIGluIGZvciBhbg=="
_sha1 = sha1()
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

MAX_BLOCK = 1024
"""Bytes of a block that is remembered; MAX_BLOCKS of them are half a megabyte."""
MAX_BLOCKS = 512


def accept_of(key: bytes) -> bytes:  # hot: once per viewer that connects
    """What answers a key (RFC 6455 section 4.2.2, item 5.4)."""
    digest = _sha1.copy()  # which takes less than a new one
    digest.update(key + GUID)
    return b2a_base64(digest.digest(), newline=False)


STAND_IN_ACCEPT = accept_of(STAND_IN)


class UpgradeCache:
    """`respond` for one server's terms, with a memory."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._recall = lru_cache(MAX_BLOCKS)(self._learn)

    def respond(self, data: bytes, end: int) -> Reply:
        """As `handshake.respond`; `end` is where the END_OF_HEADERS in `data` begins."""
        start = data.find(BEFORE_KEY, 0, end) + len(BEFORE_KEY)
        after = start + KEY_CHARS
        key = data[start:after]
        if start < len(BEFORE_KEY) or end > MAX_BLOCK or not is_key(key):
            return respond(data, self._terms)
        end += len(END_OF_HEADERS)
        known = self._recall(data[:start], data[after:end])
        if not isinstance(known, Accepted):
            return known
        response = known.response.replace(STAND_IN_ACCEPT, accept_of(key), 1)
        return Accepted(response, known.request, known.variant, data[end:])

    def _learn(self, before: bytes, after: bytes) -> Reply:
        verdict = respond(before + STAND_IN + after, self._terms)
        if isinstance(verdict, Accepted):
            del verdict.request.headers["sec-websocket-key"]
        return verdict
