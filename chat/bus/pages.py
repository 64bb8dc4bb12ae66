"""Streams that people read: page by page, oldest first.

Rules. A page begins behind an ID and says behind which the next one does. It is read by XRANGE, so
it costs what it holds, however long the stream is.
"""

import re
from typing import Final

from chat.bus.store import Store

BEGINNING: Final = "0-0"
_ID: Final = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")


def is_id(text: str) -> bool:
    """Whether it reads like the ID of an entry; Redis knows none behind the last there can be."""
    parts = _ID.fullmatch(text)
    return parts is not None and all(int(part) < 1 << 63 for part in parts.groups())


async def page(
    store: Store, stream: str, after: str, limit: int
) -> tuple[list[tuple[str, bytes]], str | None]:
    """At most `limit` entries of a stream behind an ID, each its ID and its `m`; and behind which
    to go on, None when there is no more. Raises StoreError."""
    found = await store.servers.ask(
        stream, lambda pipe, on: pipe.xrange(stream, f"({after}", "+", limit + 1)
    )
    entries = [(entry_id.decode(), fields.get(b"m", b"")) for entry_id, fields in found]
    more = len(entries) > limit
    return entries[:limit], entries[limit - 1][0] if more else None
