"""bench/attackers.py: what it says it does is what a group sees, or the workload proves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.child import Child, python
from shard.counters import Count
from shard.frames import TEXT, encode
from tests.shard.rig import Rig

CLIENTS = 3


@contextmanager
def attacked(rig: Rig, kind: str, ms: int = 400, wish: str = "") -> Iterator[Child]:
    with Child(python("bench.attackers", rig.address[1]), core=0) as attackers:
        assert kind in attackers.hello["kinds"]
        attackers.tell(f"attack {kind} {CLIENTS} {ms} {wish}")
        yield attackers


@pytest.mark.parametrize(
    ("kind", "count", "verdict"),
    [
        ("pings", Count.CLOSED_FLOODING, "4503"),
        ("fragments", Count.CLOSED_FLOODING, "4503"),
        ("bad_frames", Count.CLOSED_PROTOCOL, "1002"),
    ],
)
def test_who_is_closed_says_why_and_comes_back(kind: str, count: Count, verdict: str) -> None:
    with Rig(controls_per_tick=1) as rig, attacked(rig, kind) as attackers:
        rig.run_until(lambda: rig.counts[count] > CLIENTS)
        done = attackers.answer()
        assert done["connects"] > CLIENTS
        assert done["poured"] > 0
        assert done["verdicts"][verdict] >= 1


def test_slow_requests_come_byte_by_byte() -> None:
    with Rig(handshake_ticks=1) as rig, attacked(rig, "handshakes") as attackers:
        rig.run_until(lambda: rig.counts[Count.BYTES_IN] >= 2 * CLIENTS)
        assert rig.counts[Count.ACCEPTED] == CLIENTS
        rig.advance(5)
        assert rig.counts[Count.REFUSED_HANDSHAKE_TIMEOUT] >= CLIENTS
        attackers.answer()


def test_the_deaf_read_nothing_and_the_greedy_ask_again_and_again() -> None:
    wish = '{"t":"join","room":"busy"}'
    with Rig(send_buffer=4_096) as rig, attacked(rig, "greedy", 1_500, wish) as attackers:
        rig.run_until(lambda: len(rig.handler.messages) >= 3 * CLIENTS)
        assert set(rig.handler.payloads) == {wish.encode()}
        assert {request.query["room"][0] for request in rig.handler.requests} == {"busy"}
        for fd in rig.handler.opened:
            rig.group.send(fd, encode(TEXT, b"x" * 1_000_000))
        rig.settle()
        assert rig.group.backlog_total > CLIENTS * 500_000
        assert attackers.answer()["verdicts"] == {}
