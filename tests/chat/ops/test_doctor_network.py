"""What the doctor says of open files, the kernel's queues and its tables, for so many viewers."""

import pytest

from chat.ops.findings import Level
from shard.listen import RESERVED_DESCRIPTORS
from tests.chat.ops.machines import finding, machine, names, with_proc


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
        assert found.level == "problem"
        assert f"needs {20_001 + RESERVED_DESCRIPTORS} open files" in found.advice

    def test_only_the_hard_limit_counts(self) -> None:
        assert finding("open files", machine(files=(64, 524_288))).level == "ok"
        assert finding("open files", machine(files=(1024, 1024))).level == "note"
        assert finding("open files", machine(files=(64, 64))).level == "problem"

    def test_no_limit_is_enough(self) -> None:
        found = finding("open files", machine(files=(1024, -1)))
        assert found.level == "ok"
        assert found.detail.startswith("no limit per process")

    def test_all_processes_together_have_a_limit_too(self) -> None:
        assert (
            finding("fs.file-max").detail == "1,024 of 2,000,000 in use, 80,000 more at full load"
        )
        found = finding("fs.file-max", with_proc(**{"file-nr": "1024 0 65536"}))
        assert found.level == "note"
        assert found.advice == "sysctl -w fs.file-max=161024"


class TestAccepting:
    def test_a_small_somaxconn_cuts_the_backlog(self) -> None:
        found = finding("somaxconn", with_proc(somaxconn="128\n"))
        assert (found.level, found.detail) == ("note", "128 cuts server.accept_backlog = 4,096")
        assert "sysctl -w net.core.somaxconn=4096" in found.advice

    @pytest.mark.parametrize(
        ("cookies", "backlog", "level"),
        [("1", "512", "ok"), ("0", "4096", "ok"), ("0", "512", "note"), (None, "512", "ok")],
    )
    def test_a_small_syn_backlog_matters_only_without_cookies(
        self, cookies: str | None, backlog: str, level: Level
    ) -> None:
        on = with_proc(tcp_max_syn_backlog=backlog, tcp_syncookies=cookies)
        assert finding("tcp_max_syn_backlog", on).level == level

    @pytest.mark.parametrize(
        ("server", "api", "level"),
        [(8000, 8001, "ok"), (40_000, 8001, "note"), (1, 60_999, "note")],
    )
    def test_a_port_the_kernel_may_lend_out(self, server: int, api: int, level: Level) -> None:
        found = finding("ip_local_port_range", server={"port": server}, api={"port": api})
        assert found.level == level
        assert "28,232 connections" in found.detail

    @pytest.mark.parametrize(
        ("host", "shards", "level"),
        [("127.0.0.1", 4, "note"), ("127.0.0.1", 1, "ok"), ("0.0.0.0", 4, "ok")],
    )
    def test_a_proxy_here_needs_a_port_for_each_viewer(
        self, host: str, shards: int, level: Level
    ) -> None:
        found = finding("ip_local_port_range", server={"host": host, "shards": shards})
        assert found.level == level
        assert ("80,000 viewers need a port each" in found.advice) is (level == "note")


class TestTables:
    """Of the whole machine, each against all shards at full load: 80,000 viewers."""

    @pytest.mark.parametrize(("watches", "level"), [("80000", "ok"), ("79999", "note")])
    def test_descriptors_watched_by_one_user(self, watches: str, level: Level) -> None:
        found = finding("max_user_watches", with_proc(max_user_watches=watches))
        assert found.level == level
        assert ("fs.epoll.max_user_watches=160000" in found.advice) is (level == "note")

    @pytest.mark.parametrize(("most", "level"), [("80012", "ok"), ("65536", "note")])
    def test_connections_a_firewall_keeps_in_mind(self, most: str, level: Level) -> None:
        found = finding("conntrack", with_proc(nf_conntrack_max=most))
        assert found.level == level
        assert found.detail.endswith("80,012 at full load")

    def test_memory_of_all_sockets(self) -> None:
        assert finding("tcp_mem").level == "ok"
        found = finding("tcp_mem", with_proc(tcp_mem="10000 20000 30000"))
        assert found.level == "note"
        assert found.detail == "0.12 GB for all sockets, 0.18 GB in a fan-out to everybody"
        assert 'net.ipv4.tcp_mem="45001 90002 135003"' in found.advice

    def test_a_send_buffer_that_is_cut(self) -> None:
        found = finding("wmem_max", limits={"send_buffer_bytes": 500_000})
        assert (found.level, found.advice) == ("note", "sysctl -w net.core.wmem_max=500000")

    def test_what_a_container_cannot_read_is_left_out(self) -> None:
        hidden = dict.fromkeys(["max_user_watches", "nf_conntrack_max", "tcp_mem", "wmem_max"])
        told = {"max_user_watches", "conntrack", "tcp_mem", "wmem_max"}
        assert told <= set(names())
        assert not told & set(names(with_proc(**hidden)))
