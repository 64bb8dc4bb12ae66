"""Whom a shard asks beside itself: the operator's hooks and presend callback, as configured.

Rules. Who is not configured is not there, nor imported: an HTTP client is a tenth of a second and
ten megabytes.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from chat.config.sections import Config
from chat.policy.gate import Attempt, Verdict
from chat.policy.hooks import Hooks, load

if TYPE_CHECKING:
    from chat.policy.presend import Presend

Stage = Callable[[Sequence[Attempt]], Awaitable[Sequence[Verdict]]]


def check_outsiders(config: Config) -> None:
    """Import whom the shards will ask, once for all of them. Raises BadHooks."""
    if config.rooms.hooks:
        load(config.rooms.hooks)
    if config.rooms.presend_url:
        import chat.policy.presend  # noqa: F401


class Outsiders:
    """Those of one shard, made in its loop.

    hooks   None where there are none
    stages  what is asked of messages, in order, and of how many at once
    clock   seconds, monotonic
    """

    def __init__(
        self, config: Config, counts: "memoryview[int]", clock: Callable[[], float]
    ) -> None:
        self.hooks: Hooks | None = None
        self.stages: list[tuple[Stage, int]] = []
        self._presend: Presend | None = None
        rooms, limits = config.rooms, config.limits
        if rooms.hooks:
            self.hooks = Hooks(load(rooms.hooks)(), rooms, limits, counts, clock)
            if self.hooks.messages:
                self.stages.append((self.hooks.check, 1))  # a slow one holds up no other
        if rooms.presend_url:
            from chat.policy import presend

            self._presend = presend.Presend(rooms, limits, counts, clock)
            self.stages.append((self._presend.check, presend.MAX_MESSAGES))

    def apply(self) -> None:
        """What the configuration says of them has changed."""
        if self.hooks is not None:
            self.hooks.apply()
        if self._presend is not None:
            self._presend.apply()

    async def close(self) -> None:
        """Nobody will be asked any more."""
        if self.hooks is not None:
            self.hooks.stop()
        if self._presend is not None:
            await self._presend.close()
