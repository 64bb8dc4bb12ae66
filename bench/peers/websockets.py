"""`websockets`: `broadcast(connections, text)` on its asyncio server, no compression, no pings."""

from collections import defaultdict

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from bench.peers import room


class WebSockets(room.AsyncioRoom):
    def __init__(self) -> None:
        self._rooms: dict[str, set[ServerConnection]] = defaultdict(set)
        super().__init__()

    def __len__(self) -> int:
        return sum(map(len, self._rooms.values()))

    async def listen(self) -> int:
        self._server = await serve(
            self._stay, "127.0.0.1", 0,
            compression=None, ping_interval=None, backlog=room.BACKLOG,
        )  # fmt: skip
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def send(self, text: bytes) -> None:
        broadcast(self._rooms[room.ROOM], text.decode())

    async def _stay(self, connection: ServerConnection) -> None:
        members = self._rooms[connection.request.path if connection.request else room.ROOM]
        members.add(connection)
        try:
            async for said in connection:
                broadcast(members, said)
        except ConnectionClosed:
            pass  # gone without a farewell, as viewers go
        finally:
            members.discard(connection)


if __name__ == "__main__":
    room.serve(WebSockets)
