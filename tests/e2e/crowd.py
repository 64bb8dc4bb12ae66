"""`python -m tests.e2e.crowd PORT HOST COUNT MOOD`: very many connections from one process.

Moods. `upgrade` asks to be let in and stays. `silent` says nothing, `trickle` one byte of a
request every quarter of a second, both until they are told to go. `reset` asks and is gone with an
RST before the answer, again and again. Prints how many got which HTTP status (0: the connection
ended without one, -1: none came) as JSON, then holds what is open until its stdin closes.
"""

import json
import select
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress

from shard.listen import raise_descriptor_limit
from tests.patience import PATIENCE_S

REQUEST = (
    b"GET /ws?room=crowd HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
PER_SOURCE = 5_000
"""Connections per source address: each has 28,000 ports, of which some are in use."""
ABORT = struct.pack("ii", 1, 0)


def dial(host: str, port: int, number: int) -> socket.socket:
    """A connection under way, from an address of the loopback network."""
    made = socket.socket()
    made.bind((f"127.0.1.{number // PER_SOURCE + 1}", 0))
    made.setblocking(False)
    made.connect_ex((host, port))
    return made


def reset(host: str, port: int, count: int) -> None:
    for number in range(count):
        made = dial(host, port, number)
        with suppress(OSError):  # not connected yet: then it goes without a word
            made.send(REQUEST)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        made.close()


def stay(crowd: dict[int, socket.socket], mood: str) -> Counter[int]:
    """Let all of `crowd` speak, by descriptor; how many got which status (-1: no answer)."""
    poll = select.epoll()
    unsent = dict.fromkeys(crowd, {"upgrade": REQUEST, "trickle": REQUEST[:40]}.get(mood, b""))
    for fd in crowd:
        poll.register(fd, select.EPOLLIN | (select.EPOLLOUT if mood == "upgrade" else 0))
    statuses: Counter[int] = Counter()
    waiting, deadline = set(crowd), time.monotonic() + PATIENCE_S
    while waiting and time.monotonic() < deadline:
        for fd, mask in poll.poll(0.25, 1024):
            if mask & select.EPOLLOUT and not mask & select.EPOLLERR:
                crowd[fd].send(unsent[fd])
                poll.modify(fd, select.EPOLLIN)
            else:
                statuses[status(crowd[fd])] += 1
                waiting.discard(fd)
                poll.unregister(fd)
        if mood == "trickle":
            for fd in waiting:
                unsent[fd] = say_one(crowd[fd], unsent[fd])
    statuses[-1] += len(waiting)
    return +statuses


def say_one(connection: socket.socket, unsent: bytes) -> bytes:
    """Send one byte; what is left."""
    try:
        return unsent[connection.send(unsent[:1]) :]
    except OSError:
        return unsent


def status(connection: socket.socket) -> int:
    try:
        head = connection.recv(4096)
    except OSError:
        return 0
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0


def main() -> None:
    raise_descriptor_limit()
    port, host, count, mood = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if mood == "reset":
        reset(host, port, count)
        print("{}", flush=True)
    else:
        crowd = {made.fileno(): made for made in (dial(host, port, i) for i in range(count))}
        print(json.dumps(stay(crowd, mood)), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
