"""`websockets`: `broadcast(connections, text)` on its asyncio server, no compression, no pings."""

from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers import room


class WebSockets(room.AsyncioRoom):
    def __init__(self) -> None:
        self._connections: set[ServerConnection] = set()
        super().__init__()

    def __len__(self) -> int:
        return len(self._connections)

    async def listen(self) -> int:
        self._server = await serve(
            self._stay, "127.0.0.1", 0,
            compression=None, ping_interval=None, backlog=room.BACKLOG,
        )  # fmt: skip
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def send(self, text: bytes) -> None:
        broadcast(self._connections, text.decode())

    async def _stay(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        await connection.wait_closed()
        self._connections.discard(connection)


if __name__ == "__main__":
    room.serve(WebSockets)
