"""Archives: each message once in the file, whatever happens between."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chat.bus.entries import Said, pack
from chat.bus.redaction import Redaction
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.workers.archive import Archive, Sink, open_sink
from chat.workers.filelock import CannotArchive
from tests.chat.rig import a_store, publish, until

ROOMS = ("live:1", "live:2", "lobby")
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, history=10_000)
    yield store
    await store.close()


@pytest.fixture(params=["jsonl", "sqlite"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"a.{request.param}"


class Running:
    """An archive under way."""

    def __init__(
        self, store: Store, path: Path, *rooms: str, group: str = "", lease_s: float = 30.0
    ) -> None:
        self.sink: Sink = open_sink(path)
        self.archive = Archive(store, self.sink, rooms, group, lease_s)
        self.task = asyncio.create_task(self.archive.consumer.run())

    async def end(self) -> None:
        self.archive.consumer.end()
        await self.task
        self.sink.close()

    async def until(self, messages: int) -> None:
        await until(lambda: self.archive.messages >= messages, f"{messages} messages")


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(path: Path) -> list[tuple[str, int, str | None]]:
    """Room, seq and text of all messages in a file."""
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as db:
            found = db.execute("SELECT room, seq, text FROM messages").fetchall()
        db.close()
        return sorted(found)
    return sorted(
        (one["room"], one["seq"], one["text"]) for one in lines(path) if one["t"] == "msg"
    )


def lost(path: Path) -> list[int]:
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as db:
            found = [count for (count,) in db.execute("SELECT count FROM lost")]
        db.close()
        return found
    return [one["count"] for one in lines(path) if one["t"] == "lost"]


def numbered(first: int, last: int) -> list[tuple[str, int, str | None]]:
    return [(room, seq, str(seq)) for room in ROOMS for seq in range(first, last + 1)]


async def say(store: Store, first: int, last: int) -> None:
    for seq in range(first, last + 1):
        for room in ROOMS:
            await publish(store, room, str(seq))


async def test_it_goes_on_where_it_ended(store: Store, path: Path) -> None:
    await say(store, 1, 3)
    first = Running(store, path)
    await first.until(9)
    await first.end()
    await say(store, 4, 5)
    again = Running(store, path)
    await again.until(6)
    await say(store, 6, 6)
    await again.until(9)
    await again.end()
    assert messages(path) == numbered(1, 6)
    assert again.archive.summary == "9 messages archived, 0 removals, 0 lost"


async def test_only_wanted_rooms_are_kept(store: Store, path: Path) -> None:
    await say(store, 1, 2)
    running = Running(store, path, "live:*")
    await running.until(4)
    await running.end()
    assert {room for room, _, _ in messages(path)} == {"live:1", "live:2"}


async def test_what_was_written_and_not_acknowledged_is_not_twice(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(store, 1, 3)
    running = Running(store, path)

    async def never(taken: Any) -> None:
        await asyncio.Event().wait()

    running.archive._groups.done = never  # type: ignore[method-assign]
    await running.until(1)
    monkeypatch.setattr("chat.workers.consumer.GRACE_S", 0.01)
    await running.end()
    again = Running(store, path)
    await say(store, 4, 4)
    await until(lambda: running.archive.messages + again.archive.messages == 12)
    await again.end()
    assert messages(path) == numbered(1, 4)


async def test_what_was_acknowledged_and_is_not_in_the_file_is_taken_again(
    store: Store, path: Path, tmp_path: Path
) -> None:
    running = Running(store, path)
    await say(store, 1, 2)
    await running.until(6)
    await running.end()
    backup = {file: file.read_bytes() for file in path.parent.iterdir()}
    running = Running(store, path)
    await say(store, 3, 4)
    await running.until(6)
    await running.end()
    for file in list(path.parent.iterdir()):
        file.unlink()
    for file, content in backup.items():
        file.write_bytes(content)
    running = Running(store, path)
    await running.until(6)
    await running.end()
    assert messages(path) == numbered(1, 4)


async def test_a_stream_that_was_set_back_is_gone_through_by_what_is_in_the_file(
    store: Store, path: Path, raw: Any
) -> None:
    running = Running(store, path)
    await say(store, 1, 3)
    await running.until(9)
    await running.end()
    # As a failover may leave it: the newest are gone, and the clock of the new master is behind.
    for partition in range(4):
        stream = store.keys.fanout(partition)
        kept = (await raw.xrange(stream))[:1]
        await raw.delete(stream)
        for entry_id, _ in kept:
            await raw.xadd(stream, {"x": "y"}, id=entry_id)
        if kept:
            entry_id = kept[0][0]
            await raw.xgroup_create(stream, f"archive-{running.sink.file}", entry_id)
            said = pack(Said("u", "n", f"p{partition}", 1, "scroll", 25, 5 + partition))
            fields: dict[str, Any] = {"r": "new", "p": "e9-1", "m": said}
            ms, _, serial = entry_id.partition("-")
            await raw.xadd(stream, fields, id=f"{ms}-{int(serial) + 1}")
    again = Running(store, path)
    await again.until(1)
    await again.end()
    texts = {text for room, _, text in messages(path) if room == "new"}
    assert texts
    assert len(messages(path)) == 9 + again.archive.messages


async def test_a_group_that_vanishes_meanwhile_is_made_again(
    store: Store, path: Path, raw: Any
) -> None:
    running = Running(store, path)
    await say(store, 1, 3)
    await running.until(9)
    for partition in range(4):
        await raw.xgroup_destroy(store.keys.fanout(partition), f"archive-{running.sink.file}")
    await say(store, 4, 5)
    await running.until(15)
    await running.end()
    assert messages(path) == numbered(1, 5)


async def test_what_trimming_took_is_in_the_file_and_in_the_summary(
    store: Store, path: Path, raw: Any
) -> None:
    running = Running(store, path)
    await say(store, 1, 2)
    await running.until(6)
    await running.end()
    await say(store, 3, 10)
    left = 0
    for partition in range(4):
        await raw.xtrim(store.keys.fanout(partition), maxlen=2, approximate=False)
        left += await raw.xlen(store.keys.fanout(partition))
    running = Running(store, path)
    await running.until(left)
    await running.end()
    assert running.archive.lost == sum(lost(path)) == 24 - left
    assert f"{24 - left} lost" in running.archive.summary
    assert len(messages(path)) + 24 - left == 30


async def test_removals_are_archived(store: Store, path: Path) -> None:
    running = Running(store, path)
    await publish(store, "r", "a", "b")
    await running.until(2)
    redaction = Redaction(store, lambda: 5.0)
    await redaction.remove("r", 1)
    await redaction.clear("r", "u")
    await until(lambda: running.archive.removals == 2)
    await running.end()
    if path.suffix == ".sqlite":
        assert messages(path) == [("r", 1, None), ("r", 2, None)]
    else:
        assert [one["t"] for one in lines(path)] == ["msg", "msg", "delete", "clear"]


async def test_each_file_has_all_unless_they_share_a_group(store: Store, tmp_path: Path) -> None:
    a, b = (Running(store, tmp_path / f"{name}.jsonl") for name in "ab")
    await say(store, 1, 2)
    for one in (a, b):
        await one.until(6)
        await one.end()
    shared = [tmp_path / f"{name}.jsonl" for name in "cd"]
    c, d = (Running(store, path, group="g", lease_s=3.0) for path in shared)
    await until(lambda: len(c.archive.consumer.held) == len(d.archive.consumer.held) == 2)
    await say(store, 3, 4)
    await until(lambda: c.archive.messages + d.archive.messages >= 12)
    for one in (c, d):
        await one.end()
    assert sorted(messages(shared[0]) + messages(shared[1])) == numbered(1, 4)


def test_other_endings_are_no_archive(tmp_path: Path) -> None:
    with pytest.raises(CannotArchive, match="neither"):
        open_sink(tmp_path / "a.txt")


class TestCommand:
    def begin(self, valkey: EmbeddedEngine, prefix: str, path: Path) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "DANMAKU_BUS_URL": valkey.url,
            "DANMAKU_BUS_PREFIX": prefix,
            "DANMAKU_BUS_PARTITIONS": "4",
        }
        command = [sys.executable, "-m", "chat.cli", "archive", "--to", str(path)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE
        )

    async def test_killed_again_and_again_it_has_everything_once(
        self, valkey: EmbeddedEngine, prefix: str, store: Store, path: Path
    ) -> None:
        for turn in range(3):
            process = self.begin(valkey, prefix, path)
            try:
                await say(store, 40 * turn + 1, 40 * turn + 40)
                await until_more_than(path, 120 * turn + 20)
            finally:
                process.kill()
                assert process.stderr is not None
                process.stderr.close()
                process.wait()
            await free(store)
        total = 120
        process = self.begin(valkey, prefix, path)
        try:
            assert process.stderr is not None
            await asyncio.to_thread(process.stderr.readline)  # it is there
            await until(lambda: len(messages_so_far(path)) == 3 * total)
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.to_thread(process.communicate, timeout=20)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0
        assert "messages archived" in said.splitlines()[-1]
        assert messages(path) == numbered(1, total)

    async def test_a_file_that_is_taken_is_said_in_a_sentence(
        self, valkey: EmbeddedEngine, prefix: str, tmp_path: Path
    ) -> None:
        taken = open_sink(tmp_path / "a.jsonl")
        process = self.begin(valkey, prefix, tmp_path / "a.jsonl")
        _, said = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 1
        assert "is being written by another archive" in said
        assert "Traceback" not in said
        taken.close()


def messages_so_far(path: Path) -> list[Any]:
    """As `messages`, of a file that is being made."""
    try:
        return messages(path)
    except (FileNotFoundError, sqlite3.OperationalError, json.JSONDecodeError):
        return []


async def free(store: Store) -> None:
    """End all leases, so that nobody has to wait for that."""
    pattern = f"{store.keys.broadcast.rpartition(':')[0]}:*:group:*"
    for state in await store.servers.ask("", lambda pipe, on: pipe.keys(pattern)):
        key = state.decode()
        await store.servers.ask(key, partial(forget, key))


def forget(key: str, pipe: Any, on: Any) -> None:
    pipe.hdel(key, "owner", "until")


async def until_more_than(path: Path, count: int) -> None:
    await until(lambda: len(messages_so_far(path)) > count)
