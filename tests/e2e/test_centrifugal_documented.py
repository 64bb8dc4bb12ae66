"""docs/centrifugal.md: its examples run against a node, and do what it says they do."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from bench.local import Node
from tests.e2e.centrifuge_clients import HAS_NODE, HERE, NODE
from tests.patience import PATIENCE_S

DOCUMENT = (Path(__file__).parents[2] / "docs" / "centrifugal.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```(python|javascript)\n(.*?)```", DOCUMENT, re.DOTALL))
[DIALECTS] = re.findall(r"^dialects = (.*)$", DOCUMENT, re.MULTILINE)


@pytest.mark.skipif(not HAS_NODE, reason="npm has not installed centrifuge: run `make test`")
async def test_each_sees_what_the_other_says(tmp_path: Path) -> None:
    with Node(tmp_path, server_dialects=DIALECTS, server_shards=1) as node:
        url = f"ws://127.0.0.1:{node.port}/connection/websocket"
        given = {**os.environ, "DANMAKU_URL": url}
        script = await asyncio.create_subprocess_exec(
            *(str(NODE), "--input-type=module", "-e", EXAMPLES["javascript"]),
            cwd=HERE, env=given, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        await printed(script, "hello from JavaScript")
        snake = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-c", EXAMPLES["python"]),
            env=given, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        await asyncio.gather(
            printed(script, "hello from Python"), printed(snake, "hello from Python")
        )
        path = "/v1/rooms/lobby/messages"
        await asyncio.to_thread(node.request, "DELETE", f"{path}/1")
        await printed(script, "message 1 was taken back")
        await asyncio.to_thread(node.request, "POST", path, {"text": "bye"})
        for running in (script, snake):
            await printed(running, "bye")
            async with asyncio.timeout(PATIENCE_S):
                rest, _ = await running.communicate()
            assert running.returncode == 0, rest


async def printed(running: asyncio.subprocess.Process, text: str) -> None:
    assert running.stdout is not None
    seen = ""
    async with asyncio.timeout(PATIENCE_S):
        while text not in seen:
            line = (await running.stdout.readline()).decode()
            assert line, f"it ended before it said {text}: {seen}"
            seen += line
