"""A way to a node that a test can cut: TCP, byte for byte, until it is told otherwise.

Rules. Threads, because the tests that use it are synchronous; all of them end with it. What it was
given before a cut is passed on or lost with the connection, as in a network.
"""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from tests.patience import PATIENCE_S

CHUNK: Final = 65536
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER by which a close is a reset."""


class Cuttable:
    """Listens on `port` and passes on to `target`.

    accepted  connections so far, those it hung up on too
    mute      answers are swallowed: nothing comes back to who connected
    """

    def __init__(self, target: int) -> None:
        self.accepted = 0
        self.mute = False
        self._target = target
        self._whole = True
        self._cuts = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def cut(self) -> None:
        """Every connection is reset, and new ones are hung up on."""
        with self._lock:
            self._whole = False
            self._cuts += 1
            gone, self._open = self._open, set()
        for one in gone:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def mend(self) -> None:
        self.mute = False
        self._whole = True

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                with self._lock:
                    whole, cuts = self._whole, self._cuts
                if whole:
                    self._connect(client, cuts)
                else:
                    client.close()

    def _connect(self, client: socket.socket, cuts: int) -> None:
        """Dial for a client; if it was cut meanwhile, when there were so many cuts before, both are
        closed, also when nobody is left to do so."""
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=PATIENCE_S)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            whole = cuts == self._cuts
            if whole:
                self._open |= {client, server}
        if not whole:
            server.close()
            client.close()
            return
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pass, args=(source, sink, client), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                if not (self.mute and sink is client):
                    sink.sendall(chunk)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
