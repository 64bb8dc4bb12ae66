"""Crowds at the door, friendly and not: a viewer who is in notices nothing, everyone is counted."""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.local import Node
from shard.listen import RESERVED_DESCRIPTORS, raise_descriptor_limit
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

GROWTH_BYTES = 48 << 20
"""What a shard's own memory may grow by: some 2 KB for each of twenty thousand."""


@contextmanager
def surviving(folder: Path, handshake_s: int) -> Iterator[Node]:
    """A node of one shard, which must survive."""
    with Node(folder, server_shards=1, heartbeat_handshake_s=handshake_s) as node:
        [shard] = node.pids("shard")
        before = private_bytes(shard)
        yield node
        assert node.pids("shard") == [shard], "the shard died"
        assert private_bytes(shard) - before < GROWTH_BYTES
        assert node.counted("handler_errors") == 0


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Node]:
    """A node that gives a crowd on a busy machine time to ask."""
    with surviving(tmp_path, handshake_s=60) as node:
        yield node


@pytest.fixture
def curt(tmp_path: Path) -> Iterator[Node]:
    """A node that waits two seconds for a request."""
    with surviving(tmp_path, handshake_s=2) as node:
        yield node


def private_bytes(pid: int) -> int:
    """Memory of a process that it shares with none."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", rollup, re.MULTILINE)))


@contextmanager
def crowds(node: Node, mood: str, *sizes: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of so many connections each, on addresses of their own; gone at the end."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.crowd", str(node.port), "127.0.0.1", str(size), mood],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for size in sizes
    ]
    try:
        yield started
    finally:
        for one in started:
            one.communicate(timeout=PATIENCE_S)


def statuses(crowd: list[subprocess.Popen[str]]) -> Counter[int]:
    """How many got which status, all processes together."""
    total: Counter[int] = Counter()
    for one in crowd:
        assert one.stdout is not None
        total.update({int(k): v for k, v in json.loads(one.stdout.readline()).items()})
    return total


async def serves(node: Node, viewer: Viewer) -> bool:
    """Whether a message reaches a viewer who was there before."""
    said = len(viewer.seqs)
    status, _ = node.request("POST", "/v1/rooms/quiet/messages", {"text": "still here"})
    await viewer.until(lambda _: len(viewer.seqs) > said)
    return status == 200


class TestAtTheDoor:
    async def test_twenty_thousand_at_once_are_let_in_or_told_that_it_is_full(
        self, patient: Node
    ) -> None:
        room = raise_descriptor_limit() - RESERVED_DESCRIPTORS
        if room < 10_000:
            pytest.skip("a process may not open so many files here")
        viewer = await Viewer.open(patient.ws, "quiet")
        with crowds(patient, "upgrade", 10_000, 10_000) as crowd:
            assert await serves(patient, viewer)
            got = await asyncio.to_thread(statuses, crowd)
            assert await serves(patient, viewer)
            # A connection that is passed to the API takes a place, too, until it is.
            assert min(20_000, room - 8) <= got[101] <= min(20_000, room - 1), got
            assert got[101] + got[503] == 20_000
            assert patient.counted("upgraded") == got[101] + 1
            assert patient.counted("refused_full") == got[503]
        await viewer.close()

    @pytest.mark.parametrize("mood", ["silent", "trickle"])
    async def test_those_who_never_finish_asking_are_shown_out(self, curt: Node, mood: str) -> None:
        viewer = await Viewer.open(curt.ws, "quiet")
        with crowds(curt, mood, 3_000) as crowd:
            assert await serves(curt, viewer)
            assert await asyncio.to_thread(statuses, crowd) == {408: 3_000}
            assert curt.counted("refused_handshake_timeout") == 3_000
        assert await serves(curt, viewer)
        await viewer.close()

    async def test_a_storm_of_resets_leaves_nothing_behind(self, patient: Node) -> None:
        viewer = await Viewer.open(patient.ws, "quiet")
        with crowds(patient, "reset", 5_000) as crowd:
            await asyncio.to_thread(statuses, crowd)
            assert await serves(patient, viewer)
        for _ in range(100):
            assert await serves(patient, viewer)
            if patient.counted("connections") == 1:
                break
        else:
            pytest.fail("some of them are still there")
        await viewer.close()
