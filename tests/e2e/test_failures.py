"""What viewers notice when a process dies or Redis stops: as little as can be, and never a loss."""

import asyncio
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

from bench.local import Node, counters, free_port
from chat.counters import GAUGES
from chat.ops.engine import EmbeddedEngine
from tests.e2e.viewers import Event, Viewer
from tests.patience import PATIENCE_S, eventually

STOPPED_S = 10.0
NOTICE = {"all": True, "message": {"text": "to all"}}


def status(url: str) -> int:
    """How a GET is answered."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def viewers_on_both_shards(node: Node, room: str) -> tuple[list[Viewer], list[Viewer]]:
    """Viewers of a room, apart by the shard that serves them. One that does not serve yet is given
    its own as soon as it does."""
    viewers = [await Viewer.open(node.ws, room) for _ in range(16)]
    first = viewers[0].shard
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while all(viewer.shard == first for viewer in viewers):
        assert asyncio.get_running_loop().time() < deadline, "one shard takes nobody"
        await asyncio.sleep(0.05)
        viewers.append(await Viewer.open(node.ws, room))
    here = [viewer for viewer in viewers if viewer.shard == first]
    there = [viewer for viewer in viewers if viewer.shard != first]
    return here, there


class TestKilledShard:
    async def test_its_viewers_come_back_and_resume_the_others_notice_nothing(
        self, tmp_path: Path
    ) -> None:
        with Node(tmp_path) as node:
            a, b = await viewers_on_both_shards(node, "live:kill")
            await a[0].type("live:kill", "before")
            for viewer in a + b:
                await viewer.until(lambda viewer: viewer.texts == ["before"])

            os.kill(node.pids("shard")[0], signal.SIGKILL)
            lost = await self._the_lost(a, b)
            kept = b if lost is a else a
            assert (await kept[0].type("live:kill", "during"))["t"] == "ack"

            epoch = lost[0].epoch
            for _ in lost:
                await self._come_back(node, {"epoch": epoch, "seq": 1}, ["during"])

            for viewer in kept:
                await viewer.until(lambda viewer: viewer.texts == ["before", "during"])
                assert not viewer.closed
                assert not viewer.of("gap")
            node.until_said("again in")
            for viewer in kept:
                await viewer.close()

    async def test_its_gauges_go_and_counters_never_fall(self, tmp_path: Path) -> None:
        with Node(tmp_path) as node:
            a, b = await viewers_on_both_shards(node, "live:count")
            for i in range(5):
                assert (await a[0].type("live:count", f"{i}"))["t"] == "ack"
            before = metrics(node)
            assert before["connections"] == len(a + b)
            for pid in node.pids("shard"):
                os.kill(pid, signal.SIGKILL)
            await eventually(lambda: node.said().count("again in") == 2)
            await eventually(lambda: node.counted("starts") == 4)
            after = metrics(node)
            for gauge in ("connections", "rooms", "streams", "slow_readers", "backlog_bytes"):
                assert after[gauge] == 0
            growing = set(before) - GAUGES
            assert len(growing) > 30
            assert [name for name in growing if after[name] < before[name]] == []
            assert after["upgraded"] == len(a + b)
            for viewer in a + b:
                await viewer.until(lambda viewer: viewer.closed)

    async def _come_back(self, node: Node, since: Event, missed: list[str]) -> None:
        viewer = await Viewer.open(node.ws)
        joined = await viewer.ask({"t": "join", "room": "live:kill", "since": since})
        assert joined["recovered"] is True
        # What its new shard has not read yet comes live.
        resumed = [message["text"] for message in joined["history"]]
        await viewer.until(lambda viewer: [*resumed, *viewer.texts] == missed)
        await viewer.close()

    async def _the_lost(self, a: list[Viewer], b: list[Viewer]) -> list[Viewer]:
        """The group whose connections broke."""
        done, _ = await asyncio.wait(
            {asyncio.create_task(group[0].socket.wait_closed()) for group in (a, b)},
            timeout=PATIENCE_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert done
        lost = a if a[0].socket.close_code is not None else b
        for viewer in lost:
            await asyncio.wait_for(viewer.socket.wait_closed(), PATIENCE_S)
        return lost


class TestStoppedValkey:
    async def test_viewers_stay_sends_are_refused_and_nothing_is_lost_or_doubled(
        self, engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        with Node(tmp_path, bus_url=engine.url, bus_timeout_ms=1000) as node:
            a, b = await viewers_on_both_shards(node, "live:stop")
            everyone = a + b
            published = [f"before {i}" for i in range(10)]
            for text in published:
                assert (await a[0].type("live:stop", text))["t"] == "ack"

            assert engine.pid is not None
            loop = asyncio.get_running_loop()
            resume_at = loop.time() + STOPPED_S
            os.kill(engine.pid, signal.SIGSTOP)
            try:
                refused = 0
                while loop.time() < resume_at:
                    answer = await b[0].type("live:stop", f"never {refused}")
                    assert answer["t"] == "error"
                    assert answer["code"] == "unavailable"
                    assert answer["retry_after"] > 0
                    refused += 1
                    await asyncio.sleep(min(answer["retry_after"], resume_at - loop.time(), 0.5))
                assert refused >= 3
                pong = await a[0].ask({"t": "ping"})
                assert pong["t"] == "pong"
            finally:
                os.kill(engine.pid, signal.SIGCONT)

            again = [f"after {i}" for i in range(10)]
            for i, text in enumerate(again):
                await self._type_until_taken(a[0], text, f"retry-{i}")
            for viewer in everyone:
                await viewer.until(lambda viewer: viewer.texts[-1:] == again[-1:])
                assert viewer.texts == published + again
                assert viewer.seqs == list(range(1, 21))
                assert not viewer.closed
                await viewer.close()

    async def _type_until_taken(self, viewer: Viewer, text: str, message_id: str) -> None:
        """What a client does with a retryable error: the same message, the same id, later."""
        for _ in range(100):
            answer = await viewer.type("live:stop", text, id=message_id)
            if answer["t"] == "ack":
                return
            await asyncio.sleep(answer["retry_after"])
        raise AssertionError(f"{text} was never taken")


class TestAbsentValkey:
    async def test_a_node_starts_serves_and_refuses_and_all_works_once_there_is_one(
        self, tmp_path: Path
    ) -> None:
        port = free_port()
        with Node(tmp_path, bus_url=f"redis://127.0.0.1:{port}") as node:
            assert node.said().count("the bus does not answer") == 1
            for url in (node.probes, node.page):
                assert status(f"{url}/readyz") == 200
            assert status(f"{node.probes}/healthz") == 200
            assert status(f"{node.page}/healthz") == 503
            viewer = await Viewer.open(node.ws)
            assert (await viewer.ask({"t": "join", "room": "live:late"}))["code"] == "unavailable"

            killed = node.pids("shard")
            os.kill(killed[0], signal.SIGKILL)
            node.until_said("again in")
            await eventually(lambda: len(node.pids("shard")) == 2)
            with EmbeddedEngine(tcp_port=port):
                a, b = await viewers_on_both_shards(node, "live:late")
                assert (await a[0].type("live:late", "at last"))["t"] == "ack"
                assert node.request("POST", "/v1/broadcast", NOTICE)[0] == 200
                for viewer in a + b:
                    await viewer.until(lambda viewer: viewer.texts and viewer.of("notice"))
                    await viewer.close()
                assert status(f"{node.page}/healthz") == 200
            assert "Traceback" not in node.said()


class TestRestartedValkey:
    async def test_with_a_data_directory_the_rooms_go_on_where_they_were(
        self, tmp_path: Path
    ) -> None:
        data = tmp_path / "data"
        with Node(tmp_path, bus_data_dir=data) as node:
            viewer = await Viewer.open(node.ws, "live:kept")
            for i in range(5):
                await viewer.type("live:kept", f"before {i}")
            # The append-only file is synced every second.
            await viewer.until(lambda _: len(viewer.seqs) == 5)
            assert node.stop() == 0
            await viewer.close()
        with Node(tmp_path, bus_data_dir=data) as node:
            viewer = await Viewer.open(node.ws, "live:kept")
            joined = viewer.of("joined")[0]
            assert [message["text"] for message in joined["history"]] == [
                f"before {i}" for i in range(5)
            ]
            await viewer.close()

    async def test_in_memory_a_killed_engine_is_a_new_epoch_and_says_so(
        self, tmp_path: Path
    ) -> None:
        with Node(tmp_path) as node:
            viewer = await Viewer.open(node.ws, "live:new")
            await viewer.type("live:new", "before")
            await viewer.until(lambda _: viewer.seqs == [1])
            [pid] = engine_pids(node)
            os.kill(pid, signal.SIGKILL)
            answer = {"t": "error"}
            for _ in range(100):
                answer = await viewer.type("live:new", "after", id="once")
                if answer["t"] == "ack":
                    break
                await asyncio.sleep(0.1)
            assert answer["t"] == "ack"
            await viewer.until(lambda _: viewer.texts == ["before", "after"])
            [gap] = viewer.of("gap")
            assert gap["epoch"] in ("", answer["id"].partition("-")[0])
            assert viewer.epoch == answer["id"].partition("-")[0]
            assert not viewer.closed
            await viewer.close()


class TestStoppedEngine:
    async def test_the_supervisor_is_not_deaf_meanwhile(self, tmp_path: Path) -> None:
        with Node(tmp_path) as node:
            [engine] = engine_pids(node)
            os.kill(engine, signal.SIGSTOP)
            killed = node.pids("shard")[0]
            os.kill(killed, signal.SIGKILL)
            await eventually(lambda: len({*node.pids("shard")} - {killed}) == 2)
            node.until_said(f"the engine, process {engine}, runs and does not answer")
            # Told to end, it is also told to go on; it ends by itself.
            assert node.stop() == 0
            assert not alive(engine)
            assert "killing" not in node.said()


class TestKilledSupervisor:
    async def test_no_process_stays_and_the_next_start_cleans_up(self, tmp_path: Path) -> None:
        run_dir = tmp_path / "run"
        port = free_port()
        with Node(tmp_path, node_run_dir=run_dir, server_port=port) as node:
            pids = [*node.pids("shard"), *node.pids("api"), *engine_pids(node)]
            assert len(pids) == 4
            os.kill(node.pid, signal.SIGKILL)
            await eventually(lambda: not any(map(alive, pids)))
            assert (run_dir / "engine.log").exists()
        (run_dir / "engine.sock").touch()
        with Node(tmp_path, node_run_dir=run_dir, server_port=port) as node:
            assert {path.name for path in run_dir.iterdir()} == {
                "lock",
                "engine.sock",
                "engine.log",
                "passed.sock",
                "control.sock",
            }
            assert run_dir.stat().st_mode & 0o777 == 0o700
        assert not run_dir.exists()


def engine_pids(node: Node) -> list[int]:
    """The embedded Valkey of a node: the child of its supervisor that is no worker."""
    parent = node.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for pid in map(int, children) if "valkey" in comm(pid) or "redis" in comm(pid)]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def metrics(node: Node) -> dict[str, int]:
    """What its shards have counted."""
    return counters(node.request("GET", "/metrics")[1])


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
