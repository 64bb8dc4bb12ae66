"""A viewer that could not keep up learns of its loss, also when the room then falls silent."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from bench.local import Node
from tests.patience import PATIENCE_S
from tests.whole import whole

BATCH = 1000


class TestSlowReader:
    async def test_after_a_loss_it_sees_the_newest_message_and_so_the_jump(
        self, tmp_path: Path
    ) -> None:
        with Node(tmp_path, server_shards=1) as node:
            url = f"{node.ws}?room=slow"
            async with (
                connect(url, compression=None, max_queue=1) as slow,
                asyncio.timeout(PATIENCE_S),
            ):
                assert "joined" in await read_until(slow, "joined")
                posted = dropped = 0
                while not dropped:
                    messages = [{"text": "x" * 250}] * BATCH
                    path = "/v1/rooms/slow/messages"
                    status, _ = await asyncio.to_thread(node.request, "POST", path, messages)
                    assert status == 200
                    posted += BATCH
                    dropped = await asyncio.to_thread(node.counted, "dropped_slow")

                seqs: list[int] = []
                while posted not in seqs:
                    events = whole(json.loads(await slow.recv()))
                    seqs += [event["seq"] for event in events if event["t"] == "msg"]
                assert len(seqs) < posted
                assert any(later > earlier + 1 for earlier, later in pairwise(seqs))


async def read_until(socket: Any, kind: str) -> set[str]:
    """The kinds of events up to the first of `kind`."""
    seen: set[str] = set()
    while kind not in seen:
        seen |= {event["t"] for event in json.loads(await socket.recv())}
    return seen
