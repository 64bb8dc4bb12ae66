"""Clients that mean harm, in one cheap process: each kind pours bytes that were made beforehand.

    attack KIND CLIENTS MS [JSON]   for so long; JSON is the text each `greedy` client sends

    pings         upgrade, then pings, as fast as the socket takes them
    fragments     upgrade, then empty pieces of a message that never ends
    bad_frames    upgrade, then a frame that is not masked, and come back
    handshakes    a request, a byte at a time, and come back
    deaf          upgrade and join the busy room, and read nothing
    greedy        as deaf, and ask for all its history again and again

Rule: attackers connect again when they are closed, RECONNECT_S after they last connected. They read
what they are sent unless they are deaf, and count the close codes. The process is nice, because it
shares its core with the honest.
Danger: it lasts as long as it is told, and ends when its stdin closes.
"""

import json
import os
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

TEXT: Final = 0x1
CONT: Final = 0x0
CLOSE: Final = 0x8
PING: Final = 0x9
FIN: Final = 0x80

RECONNECT_S: Final = 0.02
DRIP_S: Final = 0.1
"""Between two bytes of a slow request, and between two wishes of a greedy one."""
LOOK_S: Final = 0.001
NICE: Final = 19
BLOCK_FRAMES: Final = 700
"""Frames of 6 bytes each client pours every LOOK_S: with 50 of them 200 MB a second, more than a
gigabit brings. More would only show how fast the loopback device copies."""
SMALL_WINDOW: Final = 4_096

REQUEST: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(first: int, payload: bytes = b"") -> bytes:
    """A masked frame of at most 125 bytes; the mask is zeros."""
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


BUSY: Final = REQUEST.replace(b"/ws", b"/ws?room=busy")
OPENINGS: Final = {
    "pings": REQUEST,
    "fragments": REQUEST + frame(TEXT),
    "bad_frames": REQUEST,
    "handshakes": b"",
    "deaf": BUSY,
    "greedy": BUSY,
}
POURED: Final = {
    "pings": frame(FIN | PING) * BLOCK_FRAMES,
    "fragments": frame(CONT) * BLOCK_FRAMES,
    "bad_frames": b"\x81\x05Hello",
}
DEAF: Final = ("deaf", "greedy")


@dataclass
class Attacker:
    """One client: what it has still to send of what it opens with, and when it may do what."""

    kind: str
    port: int
    wish: bytes
    link: socket.socket | None = None
    unsent: bytes = b""
    heard: bytes = b""
    next_s: float = 0.0
    connected_s: float = 0.0
    dripped: int = 0

    def connect(self, now: float) -> None:
        one = socket.socket()
        if self.kind in DEAF:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", self.port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link, self.unsent, self.heard = one, OPENINGS[self.kind], b""
        self.connected_s, self.dripped = now, 0

    def pour(self, now: float) -> int:
        """Send what is possible and due; how many bytes that was. Raises OSError at the end."""
        assert self.link is not None
        if not self.unsent and now >= self.next_s:
            self.unsent = self._more(now)
        if not self.unsent:
            return 0
        try:
            sent = self.link.send(self.unsent)
        except BlockingIOError:
            return 0
        self.unsent = self.unsent[sent:]
        return sent

    def _more(self, now: float) -> bytes:
        """What it says next."""
        if self.kind in POURED:
            return POURED[self.kind]
        self.next_s = now + DRIP_S
        self.dripped += 1
        if self.kind == "handshakes":
            return REQUEST[self.dripped - 1 : self.dripped]
        return self.wish if self.kind == "greedy" else b""

    def read(self) -> bool:
        """Whether the connection goes on."""
        assert self.link is not None
        if self.kind in DEAF:
            return True
        try:
            data = self.link.recv(1 << 16)
        except BlockingIOError:
            return True
        self.heard = (self.heard + data)[-1_024:]
        return bool(data)

    @property
    def verdict(self) -> str:
        """What it was told at its end: a close code, an HTTP status, or nothing."""
        if self.heard.startswith(b"HTTP/1.1 ") and (status := self.heard[9:12]) != b"101":
            return status.decode()
        end = self.heard.rfind(bytes((FIN | CLOSE,)))
        code = self.heard[end + 2 : end + 4] if end >= 0 else b""
        return str(int.from_bytes(code, "big")) if code else "reset"

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None


def attack(port: int, kind: str, clients: int, seconds: float, wish: bytes) -> dict[str, Any]:
    """Do it; what came of it."""
    everyone = [Attacker(kind, port, wish) for _ in range(clients)]
    verdicts: Counter[str] = Counter()
    connects = poured = 0
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        for one in everyone:
            if one.link is None:
                if now - one.connected_s >= RECONNECT_S:
                    one.connect(now)
                    connects += 1
                continue
            try:
                poured += one.pour(now)
                goes_on = one.read()
            except OSError:
                goes_on = False
            if not goes_on:
                verdicts[one.verdict] += 1
                one.close()
        time.sleep(LOOK_S)
    for one in everyone:
        one.close()
    return {"connects": connects, "poured": poured, "verdicts": dict(verdicts)}


def main() -> None:
    port = int(sys.argv[1])
    os.nice(NICE)
    print(json.dumps({"kinds": list(OPENINGS)}), flush=True)
    for line in sys.stdin:
        _, kind, clients, ms, *rest = line.split(" ", 4)
        wish = frame(FIN | TEXT, rest[0].strip().encode()) if rest else b""
        answer = attack(port, kind, int(clients), int(ms) / 1000, wish)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
