"""How often a user, and an address, may say something, on all nodes together.

Rules. Asked after the gate and before the publisher, about a batch. The address is asked only about
what the user's own quota lets by, so that one who sends too much takes nothing from the others
behind the same address. What one address refuses has been counted for its user.

Danger: a user without a token is a new one whenever it likes. Against those the address counts.
"""

from collections.abc import Callable, Sequence
from functools import partial

from chat.bus.quotas import Quota
from chat.bus.store import Store
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.policy.gate import PASS, Attempt, Refusal, Verdict
from chat.policy.rates import told_s
from chat.wire.schema import ErrorCode
from shard.addresses import household
from shard.connections import Connections

Name = Callable[[Attempt], str]
"""Whose quota an attempt takes from."""


class Quotas:
    """A stage of the way to the publisher; it lets all pass while no quota is configured."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        connections: Connections,
        clock: Callable[[], float],
        counts: "memoryview[int]",
    ) -> None:
        self._limits = limits
        self._user = Quota(store, "user", *_of_user(limits), clock)
        self._address = Quota(store, "address", *_of_address(limits), clock)
        self._household = partial(_household, connections)
        self._counts = counts
        self._quotas: list[tuple[Quota, Name, str]] = []
        self.apply()

    @property
    def asks(self) -> bool:
        """Whether there is any quota."""
        return bool(self._quotas)

    def apply(self) -> None:
        """The limits have changed."""
        kinds: list[tuple[Quota, tuple[int, int], Name, str]] = [
            (self._user, _of_user(self._limits), _uid, "user"),
            (self._address, _of_address(self._limits), self._household, "address"),
        ]
        self._quotas = []
        for quota, rate, name, whose in kinds:
            quota.set(*rate)
            if per_s := rate[0]:
                words = f"at most {per_s} messages a second of one {whose}"
                self._quotas.append((quota, name, words))

    async def __call__(self, attempts: Sequence[Attempt]) -> list[Verdict]:
        verdicts: list[Verdict] = [PASS] * len(attempts)
        quotas = self._quotas  # which a reload may change while one is asked
        standing: Sequence[int] = range(len(attempts))
        # Before anything is waited for: a connection may be another's, or nobody's, afterwards.
        names = [[name(one) for one in attempts] for _, name, _ in quotas]
        for (quota, _, words), of in zip(quotas, names, strict=True):
            waits = await quota.take([of[i] for i in standing])
            for i, wait in zip(standing, waits, strict=True):
                if wait:
                    verdicts[i] = Refusal(ErrorCode.RATE_LIMITED, words, told_s(wait))
            standing = [i for i in standing if verdicts[i] is PASS]
        self._counts[ChatCount.REFUSED_RATE_LIMITED] += len(attempts) - len(standing)
        return verdicts


def _of_user(limits: Limits) -> tuple[int, int]:
    return limits.user_messages_per_s, limits.user_messages_burst


def _of_address(limits: Limits) -> tuple[int, int]:
    return limits.address_messages_per_s, limits.address_messages_burst


def _household(connections: Connections, attempt: Attempt) -> str:
    """Those who have gone by now are together like one address."""
    fd = attempt.fd
    return household(connections.address(fd)) if connections.is_open(fd) else ""


def _uid(attempt: Attempt) -> str:
    return attempt.who.uid
