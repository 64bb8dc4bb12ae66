"""`danmaku top` against real nodes, one of which goes away."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.chat.client.terminal import Terminal
from tests.e2e.test_cli import run
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

KEY = "a-key-of-the-operator"


@pytest.fixture
def nodes(tmp_path: Path, engine: EmbeddedEngine) -> Iterator[tuple[Node, Node]]:
    """Two of one Redis, whose API needs a key; also at the viewers' port."""
    settings = {"bus_url": engine.url, "api_key": KEY, "server_shards": 1}
    with Node(tmp_path, **settings) as one, Node(tmp_path, **settings) as other:
        yield one, other


async def test_one_frame_has_viewers_messages_and_rooms(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANMAKU_API_KEY", KEY)
    one, other = nodes
    viewers = [await Viewer.open(one.ws, "top") for _ in range(3)]
    talking = asyncio.create_task(_talk(viewers[0], "top"))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:  # until a room's viewers are summed, and messages came in the interval
                status, shown, errors = await run(
                    "top", one.page, other.probes, "--interval", "0.5", "--once"
                )
                assert (status, errors) == (0, "")
                room = re.search(r"^top +3 +3 +([\d.]+)", shown, re.M)
                if room and float(room[1]) > 0 and re.search(r" \d+ kB|deliveries/s", shown):
                    break
    finally:
        talking.cancel()
    assert "3 viewers · 2 of 2 nodes answer" in shown
    [cells] = re.findall(rf"^127\.0\.0\.1:{one.api_port}  +(\d.*)$", shown, re.M)
    count, _, _, said, delivered = cells.split()[:5]
    assert count == "3"
    assert float(said) > 0
    assert float(delivered) >= float(said)
    for viewer in viewers:
        await viewer.close()


async def _talk(viewer: Viewer, room: str) -> None:
    while True:
        await viewer.type(room, "hello")
        await asyncio.sleep(0.3)  # within the rate of messages


async def test_without_a_key_it_says_so(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    status, shown, _ = await run("top", one.page, "--interval", "0.2", "--once")
    assert status == 1
    assert "a key is needed here: give one with --key or in DANMAKU_API_KEY" in shown


def test_a_node_that_goes_away_is_a_row_and_the_other_goes_on(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    options = ("top", one.page, other.page, "--interval", "0.2")
    with Terminal("-m", "chat.cli", *options, DANMAKU_API_KEY=KEY) as terminal:
        terminal.until("2 of 2 nodes answer")
        other.stop()
        terminal.until("1 of 2 nodes answer", f"127.0.0.1:{other.api_port}  cannot be reached")
        other.start()
        terminal.until("2 of 2 nodes answer")
        terminal.press("q")
        assert terminal.end() == 0
        assert "Traceback" not in terminal.shown
