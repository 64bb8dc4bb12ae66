"""picows (Cython): one buffer, framed in place by `send_reuse_external_bytearray` for each viewer.

It has no call that sends to many, so the loop over its transports is ours, in Python.
"""

from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.peers import room

HEADER_ROOM = 14


class Listener(WSListener):  # type: ignore[misc, unused-ignore]
    def __init__(self, transports: set[WSTransport]) -> None:
        self._transports = transports

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transports.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transports.discard(transport)


class Picows(room.AsyncioRoom):
    def __init__(self) -> None:
        self._transports: set[WSTransport] = set()
        super().__init__()

    def __len__(self) -> int:
        return len(self._transports)

    async def listen(self) -> int:
        self._server = await ws_create_server(
            self._listener, "127.0.0.1", 0, backlog=room.BACKLOG, websocket_handshake_timeout=30
        )
        return int(self._server.sockets[0].getsockname()[1])

    def send(self, text: bytes) -> None:
        buffer, kind = bytearray(HEADER_ROOM) + text, WSMsgType.TEXT
        for transport in self._transports:
            transport.send_reuse_external_bytearray(kind, buffer, HEADER_ROOM)

    def _listener(self, request: WSUpgradeRequest) -> Listener:
        return Listener(self._transports)


if __name__ == "__main__":
    room.serve(Picows)
