"""What the doctor says of the machine: platform, modules, descriptors, the kernel's queues."""

import pytest

from chat.ops.findings import Level
from shard.listen import RESERVED_DESCRIPTORS
from tests.chat.ops.machines import PROC, finding, machine, with_proc


class TestPlatform:
    @pytest.mark.parametrize(
        ("version", "level"), [((3, 10, 9), "fail"), ((3, 11, 0), "ok"), ((3, 14, 0), "ok")]
    )
    def test_python(self, version: tuple[int, ...], level: Level) -> None:
        assert finding("python", machine(python=version)).level == level

    @pytest.mark.parametrize(
        ("system", "kernel", "level"),
        [
            ("Linux", "6.1.0-18-amd64", "ok"),
            ("Linux", "4.5", "ok"),
            ("Linux", "4.4.302", "fail"),
            ("Darwin", "23.1.0", "fail"),
        ],
    )
    def test_kernel(self, system: str, kernel: str, level: Level) -> None:
        assert finding("kernel", machine(system=system, kernel=kernel)).level == level

    @pytest.mark.parametrize(
        ("missing", "name", "level"),
        [
            ("uvloop", "uvloop", "fail"),
            ("hiredis", "hiredis", "warn"),
            ("websockets.speedups:apply_mask", "websockets.speedups", "warn"),
        ],
    )
    def test_a_missing_module(self, missing: str, name: str, level: Level) -> None:
        found = finding(name, machine(has=lambda what: what != missing))
        assert (found.level, found.detail) == (level, "missing")
        assert found.advice.endswith(f"pip install --force-reinstall {name.partition('.')[0]}")


class TestFanOut:
    def test_the_ring_is_used_where_it_is(self) -> None:
        assert finding("fan-out", machine()).detail == "by io_uring"

    def test_without_the_ring_it_says_what_to_install(self) -> None:
        found = finding("fan-out", machine(has=lambda what: what != "shard.ring:Ring"))
        assert found.level == "warn"
        assert "apt install gcc python3-dev" in found.advice

    @pytest.mark.parametrize(("value", "level"), [("0\n", "ok"), ("2\n", "warn"), (None, "ok")])
    def test_a_kernel_that_refuses_is_told(self, value: str | None, level: Level) -> None:
        files = PROC | {"/proc/sys/kernel/io_uring_disabled": value}
        assert finding("fan-out", machine(read=files.get)).level == level


class TestOpenFiles:
    def test_they_say_what_they_allow_per_shard_and_together(self) -> None:
        found = finding("open files", server={"shards": 52})
        assert found.level == "ok"
        assert "20,000 connections per shard, 1,040,000 on 52 shards" in found.detail

    def test_no_number_of_shards_is_one_per_core(self) -> None:
        assert "80,000 on 4 shards" in finding("open files").detail
        assert "20,000 on 1 shard" in finding("open files", machine(cores=1)).detail

    def test_a_configured_maximum_is_what_counts(self) -> None:
        found = finding("open files", machine(files=(1024, 1024)), limits={"connections": 500})
        assert found.level == "ok"
        assert "500 connections per shard, 2,000 on 4 shards" in found.detail

    def test_more_connections_than_files_fail(self) -> None:
        assert finding("open files", limits={"connections": 20_000}).level == "ok"
        found = finding("open files", limits={"connections": 20_001})
        assert found.level == "fail"
        assert f"needs {20_001 + RESERVED_DESCRIPTORS} open files" in found.advice

    def test_only_the_hard_limit_counts(self) -> None:
        assert finding("open files", machine(files=(64, 524_288))).level == "ok"
        assert finding("open files", machine(files=(1024, 1024))).level == "warn"
        assert finding("open files", machine(files=(64, 64))).level == "fail"

    def test_no_limit_is_enough(self) -> None:
        found = finding("open files", machine(files=(1024, -1)))
        assert found.level == "ok"
        assert found.detail.startswith("no limit per process")

    def test_all_processes_together_have_a_limit_too(self) -> None:
        assert (
            finding("fs.file-max").detail == "1,024 of 2,000,000 in use, 80,000 more at full load"
        )
        found = finding("fs.file-max", with_proc(**{"file-nr": "1024 0 65536"}))
        assert found.level == "warn"
        assert found.advice == "sysctl -w fs.file-max=161024"


class TestAccepting:
    def test_a_small_somaxconn_cuts_the_backlog(self) -> None:
        found = finding("somaxconn", with_proc(somaxconn="128\n"))
        assert (found.level, found.detail) == ("warn", "128 cuts server.accept_backlog = 4,096")
        assert "sysctl -w net.core.somaxconn=4096" in found.advice

    @pytest.mark.parametrize(
        ("cookies", "backlog", "level"),
        [("1", "512", "ok"), ("0", "4096", "ok"), ("0", "512", "warn"), (None, "512", "ok")],
    )
    def test_a_small_syn_backlog_matters_only_without_cookies(
        self, cookies: str | None, backlog: str, level: Level
    ) -> None:
        on = with_proc(tcp_max_syn_backlog=backlog, tcp_syncookies=cookies)
        assert finding("tcp_max_syn_backlog", on).level == level

    @pytest.mark.parametrize(
        ("server", "api", "level"),
        [(8000, 8001, "ok"), (40_000, 8001, "warn"), (1, 60_999, "warn")],
    )
    def test_a_port_the_kernel_may_lend_out(self, server: int, api: int, level: Level) -> None:
        found = finding("ip_local_port_range", server={"port": server}, api={"port": api})
        assert found.level == level
        assert "28,232 connections" in found.detail
