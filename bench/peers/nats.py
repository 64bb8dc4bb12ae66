"""nats-server (Go) with its WebSocket listener: a room is a subject, a backend's PUB is plain TCP.

A delivery is `MSG subject sid bytes CRLF payload CRLF` in one binary frame, so the payload we
publish is smaller by that envelope.
"""

import socket
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.local import free_port
from bench.peers.program import Program, find
from bench.peers.published import Published
from bench.peers.server import TEXT, TEXT_BYTES

CONFIG = """\
listen: "127.0.0.1:{port}"
ping_interval: "1h"
websocket {{ listen: "127.0.0.1:{websocket_port}", no_tls: true, compression: false }}
"""


class Nats(Published):
    greeting = r'CONNECT {"verbose":false,"pedantic":false,"protocol":1}\nSUB r-$room 1\nPING\n'
    words = ("PONG", "+OK", "@")
    say = rf"PUB r-$room {TEXT_BYTES}\n{TEXT}\n"
    quiet_s = 3.0  # its first ping comes up to two seconds after a connection

    def start(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="danmaku-nats-")))
        port, self.port = free_port(), free_port()
        config = folder / "nats.conf"
        config.write_text(CONFIG.format(port=port, websocket_port=self.port))
        command: list[str | Path] = [find("nats-server"), "-c", config]
        environment = {"GOMAXPROCS": str(len(self.cores))}
        program = stack.enter_context(Program(command, folder, self.cores, **environment))
        program.wait_for(self.port)
        self.pids = program.pids()
        self._publisher = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        self._publisher.sendall(b'CONNECT {"verbose":false}\r\n')

    def payload(self, size: int) -> None:
        body = b"x" * (size - len(b"MSG r-0 1 100\r\n\r\n"))
        self._message = b"PUB r-0 %d\r\n%s\r\n" % (len(body), body)

    def publish(self) -> None:
        self._publisher.sendall(self._message)


class VerboseNats(Nats):
    """One that answers what is published with +OK."""

    greeting = Nats.greeting.replace('"verbose":false', '"verbose":true')
