"""The readers, on the machine that runs the tests."""

import errno
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from chat.ops.busserver import BusServer
from chat.ops.engine import EmbeddedEngine, find_binary
from chat.ops.machine import is_loopback, this_machine
from shard.writing import best, write_some
from tests.chat.ops.machines import with_files, with_proc

needs_server = pytest.mark.skipif(find_binary() is None, reason="no Valkey or Redis server here")


def test_what_is_known_of_this_process_is_told() -> None:
    machine = this_machine()
    assert machine.python == sys.version_info[:3]
    assert machine.system == "Linux"
    assert machine.cores >= 1
    assert machine.files[0] != 0


def test_a_file_is_read_and_a_missing_one_is_none() -> None:
    machine = this_machine()
    assert (machine.read("/proc/sys/kernel/ostype") or "").strip() == "Linux"
    assert machine.read("/proc/no/such/file") is None
    assert machine.read("/proc") is None


@pytest.mark.parametrize(
    ("what", "there"),
    [
        ("json", True),
        ("json:loads", True),
        ("json:no_such_name", False),
        ("no_such_module", False),
        ("no_such_module:name", False),
    ],
)
def test_a_module_or_a_name_in_it_is_found(what: str, there: bool) -> None:
    assert this_machine().has(what) is there


class TestBus:
    @needs_server
    def test_the_embedded_one_is_tried_out(self) -> None:
        server = this_machine().bus("embedded", 5)
        assert isinstance(server, BusServer)
        assert server.version >= (6, 2)
        assert server.latency_ms > 0
        assert (server.maxmemory, server.policy) == (0, "noeviction")

    @needs_server
    def test_one_at_a_url_is_asked(self) -> None:
        with EmbeddedEngine(tcp_port=0) as engine:
            server = this_machine().bus(f"redis://127.0.0.1:{engine.tcp_port}/0", 5)
        assert isinstance(server, BusServer)
        assert server.name.split()[0] in ("Valkey", "Redis")

    def test_one_that_is_not_there_is_explained(self, tmp_path: Path) -> None:
        answer = this_machine().bus(f"unix://{tmp_path}/nothing.sock", 5)
        assert isinstance(answer, str)
        assert "No such file" in answer

    def test_one_that_is_silent_is_explained(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            answer = this_machine().bus(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", 0.05)
        assert isinstance(answer, str)
        assert "imeout" in answer or "timed out" in answer

    def test_a_url_nobody_understands_is_explained(self) -> None:
        assert isinstance(this_machine().bus("http://127.0.0.1", 1), str)


class TestBind:
    def test_a_free_port_is_free(self) -> None:
        assert this_machine().bind("127.0.0.1", 0) is None

    def test_a_port_someone_listens_on_is_in_use_even_if_it_is_shared(self) -> None:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            for host in ("127.0.0.1", "0.0.0.0"):
                error = this_machine().bind(host, port)
                assert error is not None
                assert error.errno == errno.EADDRINUSE

    @pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
    def test_an_address_of_another_machine_is_an_error(self, host: str) -> None:
        assert this_machine().bind(host, 0) is not None


class TestWritable:
    def test_a_directory_may_be_or_become(self, tmp_path: Path) -> None:
        assert this_machine().writable(str(tmp_path))
        assert this_machine().writable(str(tmp_path / "to" / "be" / "made"))

    def test_a_file_is_no_directory(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert not this_machine().writable(str(tmp_path / "file"))
        assert not this_machine().writable(str(tmp_path / "file" / "below"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_protected_one_is_not(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        assert not this_machine().writable(str(tmp_path))


class TestFields:
    def test_of_a_file_of_named_lines(self) -> None:
        on = with_proc()
        assert on.field("/proc/self/status", "Seccomp") == "0"
        assert on.field("/proc/self/status", "Sec") == ""
        assert on.field("/proc/none", "Name") == ""

    def test_numbers_of_a_file(self) -> None:
        assert with_proc(tcp_mem="1\t22 max").numbers("/proc/sys/net/ipv4/tcp_mem") == [1, 22]
        assert with_proc(tcp_mem=None).numbers("/proc/sys/net/ipv4/tcp_mem") == []

    def test_memory_is_the_machines_or_a_cgroups_that_has_fewer(self) -> None:
        assert with_proc().memory == 9_999_999 * 1024
        assert with_proc().memory_available == 8_000_000 * 1024
        few = with_files({"/sys/fs/cgroup/memory.max": "1000000\n"})
        assert (few.memory, few.memory_available) == (1_000_000, 1_000_000)
        assert with_proc(meminfo="MemTotal: lots kB\n").memory == 0

    @pytest.mark.parametrize(
        ("host", "here"),
        [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("h", False)],
    )
    def test_a_host_only_this_machine_reaches(self, host: str, here: bool) -> None:
        assert is_loopback(host) is here


class TestClock:
    def test_whether_it_is_synchronised_is_told_or_unknown(self) -> None:
        assert this_machine().synchronised() in (True, False, None)

    def test_its_offset_is_that_of_the_time_of_day(self) -> None:
        assert this_machine().clock_offset() == pytest.approx(
            time.time() - time.monotonic(), abs=60
        )


def test_whether_there_can_be_an_io_uring_is_what_a_shard_finds() -> None:
    uses_it = best() is not write_some
    machine = this_machine()
    assert (machine.has("shard.ring:Ring") and machine.ring() is None) is uses_it
