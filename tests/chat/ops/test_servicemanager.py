"""What a service manager hears, on a real socket."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.ops.servicemanager import READY, STOPPING, monotonic, tell


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(10)
        yield made


def test_a_moment_is_told_in_microseconds() -> None:
    assert monotonic(12.3456789) == "MONOTONIC_USEC=12345678"


class TestTell:
    def test_lines_come_as_one_datagram(self, listener: socket.socket, tmp_path: Path) -> None:
        path = str(tmp_path / "notify")
        listener.bind(path)
        tell(READY, "STATUS=2 shards", environ={"NOTIFY_SOCKET": path})
        assert listener.recv(4096) == b"READY=1\nSTATUS=2 shards"

    def test_an_abstract_address_is_written_with_an_at_sign(self, listener: socket.socket) -> None:
        listener.bind("")  # the kernel picks an abstract one
        name = listener.getsockname()
        tell(STOPPING, environ={"NOTIFY_SOCKET": "@" + name[1:].decode()})
        assert listener.recv(4096) == b"STOPPING=1"

    def test_nobody_is_told_where_nobody_asked(self, caplog: pytest.LogCaptureFixture) -> None:
        tell(READY, environ={})
        assert not caplog.records

    @pytest.mark.parametrize("address", ["/nonexistent/notify", "@", "/" + "a" * 200, "/a\0b"])
    def test_an_address_that_is_none_is_logged(
        self, caplog: pytest.LogCaptureFixture, address: str
    ) -> None:
        with caplog.at_level(logging.WARNING):
            tell(READY, environ={"NOTIFY_SOCKET": address})
        assert "cannot be told READY=1" in caplog.text

    def test_one_that_does_not_read_holds_nobody_up(
        self, listener: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = str(tmp_path / "notify")
        listener.bind(path)
        while "cannot be told" not in caplog.text:  # until its queue is full
            tell(READY, environ={"NOTIFY_SOCKET": path})
