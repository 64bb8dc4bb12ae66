"""What people read page by page: streams, oldest first, and the fields of rules by name.

Rules. A page begins behind an ID or a name, and says behind which the next one does: what comes and
goes meanwhile moves nothing else. A page of a stream costs what it holds, however long that is. One
of a hash costs all its names, of which its owner bounds the number: 3 ms of 10,000, 33 ms of
100,000. HSCAN would cost less, but its pages are as long as they like.
"""

import heapq
import re
from collections.abc import Sequence
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
    return _cut(found, limit)


async def page_before(
    store: Store, stream: str, before: str | None, limit: int, after: str = BEGINNING
) -> tuple[list[tuple[str, bytes]], str | None]:
    """The last entries of a stream before an ID, or of all, newest first, down to behind `after`;
    before which to go on. Otherwise likewise."""
    if before is not None and not any(map(int, before.split("-"))):
        return [], None  # before the first there can be, which Redis calls an error
    end = "+" if before is None else f"({before}"
    found = await store.servers.ask(
        stream, lambda pipe, on: pipe.xrevrange(stream, end, f"({after}", limit + 1)
    )
    return _cut(found, limit)


def _cut(
    found: Sequence[tuple[bytes, dict[bytes, bytes]]], limit: int
) -> tuple[list[tuple[str, bytes]], str | None]:
    entries = [(entry_id.decode(), fields.get(b"m", b"")) for entry_id, fields in found]
    more = len(entries) > limit
    return entries[:limit], entries[limit - 1][0] if more else None


async def page_of_fields(
    store: Store, key: str, kind: str, after: str, limit: int
) -> tuple[list[tuple[str, bytes]], str | None]:
    """At most `limit` fields `kind:WHOSE` of a hash, by WHOSE, behind `after`; likewise. A field
    whose name is no text is left out. Raises StoreError."""
    prefix = f"{kind}:"
    names = await store.servers.ask(key, lambda pipe, on: pipe.hkeys(key))
    there = (name.decode(errors="replace") for name in names if name.startswith(prefix.encode()))
    asked = heapq.nsmallest(limit + 1, (name for name in there if name > prefix + after))
    if not asked:
        return [], None
    values = await store.servers.ask(key, lambda pipe, on: pipe.hmget(key, asked[:limit]))
    whose = [name.removeprefix(prefix) for name in asked[:limit]]
    both = zip(whose, values, strict=True)
    found = [(one, value) for one, value in both if value is not None]
    return found, whose[-1] if len(asked) > limit else None
