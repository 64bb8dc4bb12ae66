"""The control socket in a node's run directory: an operator asks, the supervisor answers.

    one message {"ask": …}  ->  one message, the answer, and the connection is closed

Rules. Who reaches the socket may ask, and that is who reaches the directory: the node's user and
root. Nothing waits here: the supervisor looks when it is sent a signal. So many may be connected at
once; others wait in the kernel's queue, and who says nothing is closed.
"""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from chat.wire.schema import UNREADABLE
from shard.channel import MESSAGE_BYTES, signal_me

MOST_ASKERS: Final = 16
SILENT_S: Final = 5.0
"""How long one may be connected without asking."""


class Asker:
    """One who has connected. `since` is when."""

    def __init__(self, way: socket.socket, since: float) -> None:
        self._way = way
        self.since = since

    def question(self) -> bytes | None:
        """What it asks; None for nothing yet, and "" when it has gone."""
        try:
            return self._way.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def answer(self, answer: Any) -> None:
        """Answer, as JSON, and close."""
        with suppress(OSError):  # it has gone
            self._way.send(msgspec.json.encode(answer)[:MESSAGE_BYTES], socket.MSG_NOSIGNAL)
        self.close()

    def close(self) -> None:
        """Leave it without an answer."""
        self._way.close()


class Control:
    """The socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: socket.socket | None = None
        self._askers: list[Asker] = []

    def open(self) -> None:
        """Begin to listen. Raises OSError."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        signal_me(self._listener.fileno())
        self._listener.bind(str(self._path))
        self._listener.listen(MOST_ASKERS)

    def look(self, now: float) -> list[tuple[Asker, str]]:
        """Who has asked for something since, and for what."""
        self._meet(now)
        found: list[tuple[Asker, str]] = []
        for asker in self._askers[:]:
            question = asker.question()
            if question:
                found.append((asker, _read(question)))
            elif question is None and now - asker.since < SILENT_S:
                continue
            else:
                asker.close()
            self._askers.remove(asker)
        return found

    def _meet(self, now: float) -> None:
        while self._listener is not None and len(self._askers) < MOST_ASKERS:
            try:
                way, _ = self._listener.accept()
            except OSError:  # nobody waits, or there are no descriptors: they wait
                return
            signal_me(way.fileno())
            self._askers.append(Asker(way, now))

    def close(self) -> None:
        """Nobody is answered any more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        while self._askers:
            self._askers.pop().close()


def _read(question: bytes) -> str:
    """What is asked for; "" for what is no question."""
    try:
        found: dict[str, Any] = msgspec.json.decode(question, type=dict[str, Any])
    except UNREADABLE:
        return ""
    return str(found.get("ask", ""))


class NoAnswer(Exception):
    """Nobody has answered; why."""


def ask(path: Path, what: str, within_s: float) -> bytes:
    """Ask the node whose control socket is at `path`. Raises NoAnswer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
        way.settimeout(within_s)
        try:
            way.connect(str(path))
            way.send(msgspec.json.encode({"ask": what}))
            answer = way.recv(MESSAGE_BYTES)
        except TimeoutError:
            raise NoAnswer(f"{path}: no answer within {within_s:.0f} s") from None
        except OSError as error:
            raise NoAnswer(f"{path}: {error.strerror}") from None
    if not answer:
        raise NoAnswer(f"{path}: the node has closed without an answer")
    return answer
