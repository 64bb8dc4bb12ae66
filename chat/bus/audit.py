"""What moderators did, in one stream of so many entries: JSON, oldest first.

Rules. Written after an action is done, by who did it; never changed. What stands in an entry is
`policy`'s.
"""

from chat.bus.pages import page
from chat.bus.store import Store


class Audit:
    """The stream. `most` is about how many entries it keeps."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most

    async def write(self, entry: bytes) -> None:
        """Append an entry. Raises StoreError."""
        key = self._store.keys.audit
        await self._store.servers.ask(
            key, lambda pipe, on: pipe.xadd(key, {"m": entry}, maxlen=self._most, approximate=True)
        )

    async def page(self, after: str, limit: int) -> tuple[list[tuple[str, bytes]], str | None]:
        """At most `limit` entries behind an ID, with theirs; and behind which to go on, None when
        there are no more. Raises StoreError."""
        return await page(self._store, self._store.keys.audit, after, limit)
