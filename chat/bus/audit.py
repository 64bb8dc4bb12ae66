"""What moderators did, in one stream of so many entries: JSON, oldest first.

Rules. Written after an action is done, by who did it; never changed. What stands in an entry is
`policy`'s.
"""

from chat.bus.pages import BEGINNING, page, page_before
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

    async def page_before(
        self, before: str | None, limit: int, after: str = BEGINNING
    ) -> tuple[list[tuple[str, bytes]], str | None]:
        """The last of them, newest first, before an ID or of all, down to behind another; and
        before which to go on. Likewise."""
        return await page_before(self._store, self._store.keys.audit, before, limit, after)

    async def last(self) -> str:
        """The ID of the newest entry, or where one would begin. Raises StoreError."""
        found, _ = await self.page_before(None, 1)
        return found[0][0] if found else BEGINNING
