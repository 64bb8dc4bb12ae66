"""docs/client.md: its examples run against a node, and do what it says they do."""

import asyncio
import json
import re
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import jwt

import chat.client
from bench.local import Node
from chat.client import Client
from chat.wire import schema
from chat.wire.schema import Delete, Likes, Msg
from tests.e2e.test_clients_documented import running, said
from tests.patience import PATIENCE_S, eventually

DOCUMENT = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", DOCUMENT, re.DOTALL))
SECRET = "a secret of more than thirty-two bytes"
SETTINGS = {"auth_secret": SECRET}

BARE = """
import sys

NEEDED = {"chat", "shard", "msgspec", "websockets"}

class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in NEEDED | sys.stdlib_module_names:
            raise ImportError(f"{top} is not there")

sys.meta_path.insert(0, Nothing())
from chat.client import *
try:
    import redis
except ImportError:
    sys.exit(0)
sys.exit("nothing was taken away")
"""
"""Takes away whatever else is installed, and imports the client."""


class TestThePackage:
    def test_all_it_offers_is_there_and_the_events_are_among_it(self) -> None:
        assert not [name for name in chat.client.__all__ if not hasattr(chat.client, name)]
        inside = {"Msgs", "Paged", "Pong"}  # come as messages, or as what a method gives
        events = {event.__name__ for event in get_args(schema.ServerEvent)}
        assert events - inside <= set(chat.client.__all__)

    def test_it_needs_no_more_than_the_document_says(self) -> None:
        subprocess.run([sys.executable, "-c", BARE], timeout=PATIENCE_S, check=True)


@asynccontextmanager
async def run(
    name: str, node: Node, *until: str, folder: Path | None = None
) -> AsyncIterator[Process]:
    """An example, as it is but for this node's port, once it has printed all of `until`."""
    claims = {"sub": "mod", "role": "moderator", "exp": int(time.time()) + 600}
    given = {"DANMAKU_TOKEN": jwt.encode(claims, SECRET, "HS256")}
    program = EXAMPLES[name].replace(":8000", f":{node.port}")
    async with running(sys.executable, "-c", program, cwd=folder, **given) as begun:
        await said(begun, *until)
        yield begun


async def ended(program: Process) -> str:
    """What it has still printed, when it has ended well."""
    async with asyncio.timeout(PATIENCE_S):
        rest, _ = await program.communicate()
    assert program.returncode == 0, rest.decode()
    return rest.decode()


async def news(client: Client, kind: type | UnionType) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        async for event in client:
            if isinstance(event, kind):
                return event
    raise AssertionError("the client has ended")


async def test_one_follows_a_room_and_says_something(node: Node) -> None:
    following = run("follow", node, "published as", "says: hello from Python")
    async with following as follower, Client(node.ws, "lobby") as client:
        await client.send("lobby", "look")
        await said(follower, "says: look")
        await client.send("lobby", "bye all")
        assert "says: bye all" in await ended(follower)


async def test_one_moderates(node: Node) -> None:
    async with Client(node.ws, "lobby") as client, run("moderator", node) as moderator:
        ack = await client.send("lobby", "buy followers now")
        await said(moderator, "muted guest-")
        assert (await news(client, Delete)).target == ack.seq
        await ended(moderator)


async def test_a_bridge_goes_on_where_it_was(node: Node, tmp_path: Path) -> None:
    async with Client(node.ws, "lobby", "annex") as client:
        async with run("bridge", node, folder=tmp_path) as bridge:
            places = [await client.send("lobby", "passed on")]
            places.append(await client.send("annex", "here, too"))
            await said(bridge, "lobby: passed on", "annex: here, too")
            await kept(tmp_path / "positions.json", {place.room: place.seq for place in places})
            bridge.terminate()
            await bridge.wait()
        missed = [f"missed {i}" for i in range(40)]  # more than who joins anew is shown
        for text in missed:
            await client.send("lobby", text)
        async with run("bridge", node, folder=tmp_path) as bridge:
            seen = await said(bridge, *(f"lobby: {text}" for text in missed))
            assert "passed on" not in seen
            last = await client.send("lobby", "and this")
            await said(bridge, "lobby: and this")
            await kept(tmp_path / "positions.json", {"lobby": last.seq})
            bridge.terminate()
            await bridge.wait()


async def kept(file: Path, seqs: dict[str, int]) -> None:
    """Wait until these positions are in a file."""

    def there() -> bool:
        places = json.loads(file.read_bytes()) if file.exists() else {}
        return {room: place["seq"] for room, place in places.items()}.items() >= seqs.items()

    await eventually(there)


async def test_one_has_no_event_loop(node: Node) -> None:
    async with Client(node.ws, "lobby", "annex") as client:
        before = [await client.send("lobby", f"number {i}") for i in range(5)]
        numbered = [f"{ack.seq} number {i}" for i, ack in enumerate(before)]
        async with run("script", node, *numbered, "a script was here") as script:
            told = {"and here": False, "3 likes": False}
            while not all(told.values()):
                event = await news(client, Msg | Likes)
                told["and here"] |= isinstance(event, Msg) and event.text == "and here"
                told["3 likes"] |= isinstance(event, Likes) and event.counts == {"like": 3}
            await ended(script)
