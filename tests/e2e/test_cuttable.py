"""tests/e2e/cuttable.py: who comes while it is cut is cut, too, and leaves nothing open."""

import socket
from typing import Any

import pytest

from tests.e2e.cuttable import Cuttable
from tests.patience import PATIENCE_S


def test_who_is_dialled_for_at_a_cut_is_cut_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    dial, made = socket.create_connection, list[socket.socket]()

    def dialling(*address: Any, **how: Any) -> socket.socket:
        network.cut()
        made.append(dial(*address, **how))
        return made[-1]

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Cuttable(server.getsockname()[1]) as network,
    ):
        monkeypatch.setattr(socket, "create_connection", dialling)
        with dial(("127.0.0.1", network.port), PATIENCE_S) as client:
            assert client.recv(1) == b""
        assert made[0].fileno() == -1
