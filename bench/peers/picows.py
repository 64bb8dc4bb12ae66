"""picows (Cython): one buffer, framed in place by `send_reuse_external_bytearray` for each viewer.

It has no call that sends to many, so the loop over its transports is ours, in Python.
"""

from collections import defaultdict
from collections.abc import Iterable

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from bench.peers import room

HEADER_ROOM = 14
Members = set[WSTransport]


class Listener(WSListener):  # type: ignore[misc, unused-ignore]
    def __init__(self, members: Members) -> None:
        self._members = members

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._members.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            send_to(self._members, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._members.discard(transport)


class Picows(room.AsyncioRoom):
    def __init__(self) -> None:
        self._rooms: dict[str, Members] = defaultdict(set)
        super().__init__()

    def __len__(self) -> int:
        return sum(map(len, self._rooms.values()))

    async def listen(self) -> int:
        self._server = await ws_create_server(
            self._listener, "127.0.0.1", 0, backlog=room.BACKLOG, websocket_handshake_timeout=30
        )
        return int(self._server.sockets[0].getsockname()[1])

    def send(self, text: bytes) -> None:
        send_to(self._rooms[room.ROOM], text)

    def _listener(self, request: WSUpgradeRequest) -> Listener:
        return Listener(self._rooms[request.path.decode()])


def send_to(transports: Iterable[WSTransport], text: bytes) -> None:
    buffer, kind = bytearray(HEADER_ROOM) + text, WSMsgType.TEXT
    for transport in transports:
        transport.send_reuse_external_bytearray(kind, buffer, HEADER_ROOM)


if __name__ == "__main__":
    room.serve(Picows)
