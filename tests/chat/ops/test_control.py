"""The control socket, asked over a real socket."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chat.ops.control import MOST_ASKERS, SILENT_S, Control, NoAnswer, ask


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path / "control.sock")
    made.open()
    yield made
    made.close()


def connected(tmp_path: Path) -> socket.socket:
    way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    way.settimeout(30)
    way.connect(str(tmp_path / "control.sock"))
    return way


class TestAsking:
    def test_a_question_is_answered_and_the_connection_closed(
        self, control: Control, tmp_path: Path
    ) -> None:
        answers: list[bytes] = []
        asking = threading.Thread(
            target=lambda: answers.append(ask(tmp_path / "control.sock", "reload", 30))
        )
        asking.start()
        found: list[Any] = []
        while not found:
            found = control.look(0)
        [(asker, what)] = found
        assert what == "reload"
        asker.answer({"it": "is done"})
        asking.join(30)
        assert msgspec.json.decode(answers[0]) == {"it": "is done"}

    @pytest.mark.parametrize(
        "question",
        [b"x", b"[]", b'{"ask"', b"\xff", b"1", b'{"ask":"\xff"}', b'{"ask":' + b"[" * 9_000],
    )
    def test_what_is_no_question_is_an_empty_one(
        self, control: Control, tmp_path: Path, question: bytes
    ) -> None:
        with connected(tmp_path) as way:
            way.send(question)
            [(asker, what)] = control.look(0)
            assert what == ""
            asker.answer({"error": "what?"})
            assert msgspec.json.decode(way.recv(100)) == {"error": "what?"}

    def test_nobody_there_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(NoAnswer, match="No such file"):
            ask(tmp_path / "control.sock", "reload", 30)

    def test_a_node_that_ends_meanwhile_is_one_too(self, control: Control, tmp_path: Path) -> None:
        with connected(tmp_path) as way:
            control.look(0)
            control.close()
            assert way.recv(100) == b""

    def test_an_end_of_a_node_before_is_no_trouble(self, control: Control, tmp_path: Path) -> None:
        control.close()
        again = Control(tmp_path / "control.sock")
        again.open()
        again.close()


class TestBounds:
    def test_who_says_nothing_is_closed(self, control: Control, tmp_path: Path) -> None:
        with connected(tmp_path) as way:
            assert control.look(0) == []
            assert control.look(SILENT_S) == []
            assert way.recv(100) == b""

    def test_who_leaves_is_forgotten(self, control: Control, tmp_path: Path) -> None:
        for _ in range(3 * MOST_ASKERS):
            with connected(tmp_path):
                control.look(0)
            assert control.look(0) == []
        assert control._askers == []

    def test_so_many_are_connected_and_others_wait_their_turn(
        self, control: Control, tmp_path: Path
    ) -> None:
        silent = [connected(tmp_path) for _ in range(MOST_ASKERS)]
        control.look(0)
        with connected(tmp_path) as late:
            late.send(b'{"ask":"reload"}')
            assert control.look(1) == []
            silent.pop().close()
            control.look(2)
            [(asker, what)] = control.look(2)
            assert what == "reload"
            asker.close()
        for way in silent:
            way.close()
