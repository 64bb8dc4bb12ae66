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
    """A stage of the way to the publisher.

    quotas  each with the name it goes by, and its words; asked in this order
    """

    def __init__(
        self, quotas: Sequence[tuple[Quota, Name, str]], counts: "memoryview[int]"
    ) -> None:
        self._quotas = quotas
        self._counts = counts

    async def __call__(self, attempts: Sequence[Attempt]) -> list[Verdict]:
        verdicts: list[Verdict] = [PASS] * len(attempts)
        standing: Sequence[int] = range(len(attempts))
        # Before anything is waited for: a connection may be another's, or nobody's, afterwards.
        names = [[name(one) for one in attempts] for _, name, _ in self._quotas]
        for (quota, _, words), of in zip(self._quotas, names, strict=True):
            waits = await quota.take([of[i] for i in standing])
            for i, wait in zip(standing, waits, strict=True):
                if wait:
                    verdicts[i] = Refusal(ErrorCode.RATE_LIMITED, words, told_s(wait))
            standing = [i for i in standing if verdicts[i] is PASS]
        self._counts[ChatCount.REFUSED_RATE_LIMITED] += len(attempts) - len(standing)
        return verdicts


def quotas(
    store: Store,
    limits: Limits,
    connections: Connections,
    clock: Callable[[], float],
    counts: "memoryview[int]",
) -> tuple[Quotas, ...]:
    """The stage of the quotas that are configured; none where nothing is to be asked."""
    per_user, per_address = limits.user_messages_per_s, limits.address_messages_per_s
    found: list[tuple[Quota, Name, str]] = []
    if per_user:
        quota = Quota(store, "user", per_user, limits.user_messages_burst, clock)
        found.append((quota, _uid, f"at most {per_user} messages a second of one user"))
    if per_address:
        quota = Quota(store, "address", per_address, limits.address_messages_burst, clock)
        words = f"at most {per_address} messages a second of one address"
        found.append((quota, partial(_household, connections), words))
    return (Quotas(found, counts),) if found else ()


def _household(connections: Connections, attempt: Attempt) -> str:
    """Those who have gone by now are together like one address."""
    fd = attempt.fd
    return household(connections.address(fd)) if connections.is_open(fd) else ""


def _uid(attempt: Attempt) -> str:
    return attempt.who.uid
