"""docs/workers.md: its receiver takes what is sent, and what it says is counted is counted."""

import asyncio
import importlib.util
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from chat.config.sections import TYPES, Webhooks
from chat.counters import FIELDS, NODE_FIELDS, NODE_GAUGES
from chat.workers.deliveries import Deliveries
from pool.scoreboard import Scoreboard
from shard.listen import listen
from tests.chat.rig import until

DOCUMENT = (Path(__file__).parents[3] / "docs" / "workers.md").read_text("utf-8")
[(NAME, SOURCE)] = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", DOCUMENT, re.DOTALL)
SECRET = "a secret of more than thirty-two bytes"


class Receiver:
    def __init__(self, url: str, module: Any) -> None:
        self.url = url
        self.seen: set[str] = module.seen


@pytest.fixture
async def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    (tmp_path / f"{NAME}.py").write_text(SOURCE)
    monkeypatch.setenv("WEBHOOKS_SECRET", SECRET)
    spec = importlib.util.spec_from_file_location(NAME, tmp_path / f"{NAME}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listener = listen("127.0.0.1", 0, backlog=16, send_buffer=1 << 16)
    server = uvicorn.Server(uvicorn.Config(module.app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server._serve([listener]))
    await until(lambda: server.started)
    yield Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/danmaku", module)
    server.should_exit = True
    await serving


async def deliver(receiver: Receiver, secret: str, tries: int) -> bool:
    counts = Scoreboard(NODE_FIELDS, 1).row(0)
    webhooks = Webhooks(url=receiver.url, secret=secret)
    deliveries = Deliveries(webhooks, counts, chance=lambda: 0.0)
    left = iter(range(tries))
    try:
        body = '[{"event":"message","event_id":"a","text":"前方高能"}]'.encode()
        return await deliveries.deliver(body, lambda: next(left, None) is not None)
    finally:
        await deliveries.close()


async def test_the_receiver_takes_what_is_ours_and_knows_a_repeat(receiver: Receiver) -> None:
    assert not await deliver(receiver, "another secret of thirty-two bytes!", 2)
    assert receiver.seen == set()
    for _ in range(2):
        assert await deliver(receiver, SECRET, 1)
    assert receiver.seen == {"a"}


def test_every_event_and_every_metric_is_named() -> None:
    told = TYPES["webhooks.events"].__args__[0].__args__
    assert all(f"| `{event}`" in DOCUMENT or f"`{event}` |" in DOCUMENT for event in told)
    counted = {f for f in NODE_FIELDS if f.startswith("webhook")}
    named = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.partition("## Counted")[2], re.MULTILINE))
    totals = {f if f in NODE_GAUGES else f"{f}_total" for f in counted}
    assert named == totals | {"connection_events_dropped_total"}
    assert "connection_events_dropped" in FIELDS
