"""docs/centrifugal.md: its examples run against a node, and do what it says they do."""

import asyncio
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bench.local import Node
from tests.e2e.centrifuge_clients import HAS_NODE, HERE, NODE
from tests.e2e.test_clients_documented import running, said
from tests.patience import PATIENCE_S

DOCUMENT = (Path(__file__).parents[2] / "docs" / "centrifugal.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```(python|javascript)\n(.*?)```", DOCUMENT, re.DOTALL))
[DIALECTS] = re.findall(r"^dialects = (.*)$", DOCUMENT, re.MULTILINE)


@pytest.mark.skipif(not HAS_NODE, reason="npm has not installed centrifuge: run `make test`")
async def test_each_sees_what_the_other_says(tmp_path: Path) -> None:
    with Node(tmp_path, server_dialects=DIALECTS, server_shards=1) as node:
        url = f"ws://127.0.0.1:{node.port}/connection/websocket"
        javascript = (str(NODE), "--input-type=module", "-e", EXAMPLES["javascript"])
        async with AsyncExitStack() as stack:
            begin = stack.enter_async_context
            script = await begin(running(*javascript, cwd=HERE, DANMAKU_URL=url))
            await said(script, "hello from JavaScript")
            snake = await begin(running(sys.executable, "-c", EXAMPLES["python"], DANMAKU_URL=url))
            await asyncio.gather(
                said(script, "hello from Python"), said(snake, "hello from Python")
            )
            path = "/v1/rooms/lobby/messages"
            await asyncio.to_thread(node.request, "DELETE", f"{path}/1")
            await said(script, "message 1 was taken back")
            await asyncio.to_thread(node.request, "POST", path, {"text": "bye"})
            for program in (script, snake):
                await said(program, "bye")
                async with asyncio.timeout(PATIENCE_S):
                    rest, _ = await program.communicate()
                assert program.returncode == 0, rest
