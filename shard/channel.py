"""Words between a supervisor and its workers: whole messages, by a socket pair for each life.

    Line, the supervisor's, through all lives of a worker  <->  Channel, one life's end

Rules. Neither end waits. What the other end has not taken yet is the kernel's to hold; when that is
full, a line keeps the newest message and forgets the one before, as each says everything. Whoever
waits for nothing but signals is sent WORD when there is something to read.

Danger: a forked worker inherits the supervisor's ends of all lines. It closes them first.
"""

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

log = logging.getLogger(__name__)

WORD: Final = signal.SIGURG
"""What tells of something to read; who does not wait for it loses nothing, it is ignored."""
MESSAGE_BYTES: Final = 131_072
"""At most, of a message: the kernel's default room for a socket holds it."""


class TooLong(Exception):
    """A message of more than MESSAGE_BYTES."""


def signal_me(fd: int) -> None:
    """Have this process sent WORD when there is something to read (fcntl(2), F_SETSIG)."""
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, WORD)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)


class Channel:
    """One end."""

    def __init__(self, way: socket.socket) -> None:
        way.setblocking(False)
        self._way = way

    def send(self, message: bytes) -> bool:
        """Whether there was room for it."""
        try:
            self._way.send(message, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError:  # the other end is closed: its life is over
            return True
        return True

    def take(self) -> list[bytes]:
        """What has come."""
        found: list[bytes] = []
        with suppress(OSError):
            while message := self._way.recv(MESSAGE_BYTES):
                found.append(message)
        return found

    def listen(self, answer: Callable[[bytes], bytes]) -> None:
        """In the running loop, from now on: answer each message as it comes."""
        asyncio.get_running_loop().add_reader(self._way, self._hear, answer)

    def _hear(self, answer: Callable[[bytes], bytes]) -> None:
        messages = self.take()
        if not messages:  # the supervisor is dead, and soon we are
            asyncio.get_running_loop().remove_reader(self._way)
        for message in messages:
            if not self.send(answer(message)):
                log.warning("the supervisor takes no answers")

    def signal_me(self) -> None:
        """As the function of this name."""
        signal_me(self._way.fileno())

    def close(self) -> None:
        """Nothing more is said or heard."""
        self._way.close()


class Life(NamedTuple):
    """What a life of a worker is given: `serving` is to be called once it answers, and `channel`
    is its end of the line."""

    serving: Callable[[], None]
    channel: Channel


class Line:
    """The supervisor's end of the line to one worker.

    name  the worker's
    life  the number of its lives so far
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.life = 0
        self._channel: Channel | None = None
        self._unsent: bytes | None = None

    @property
    def alive(self) -> bool:
        """Whether somebody is there."""
        return self._channel is not None

    def open(self) -> Channel:
        """A life begins: its end. Raises OSError."""
        self.close()
        ours, theirs = (
            Channel(way) for way in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        )
        ours.signal_me()
        self._channel = ours
        self.life += 1
        return theirs

    def close(self) -> None:
        """The life is over, or this is not the supervisor's process."""
        if self._channel is not None:
            self._channel.close()
        self._channel = self._unsent = None

    def tell(self, message: bytes) -> None:
        """Send it, as soon as there is room for it. Raises TooLong."""
        if len(message) > MESSAGE_BYTES:
            raise TooLong(f"a message of {len(message)} bytes; {MESSAGE_BYTES} are the most")
        self._unsent = message
        self._flush()

    def heard(self) -> list[bytes]:
        """What was answered since."""
        self._flush()
        return self._channel.take() if self._channel is not None else []

    def _flush(self) -> None:
        if self._channel is None or (self._unsent and self._channel.send(self._unsent)):
            self._unsent = None
