"""uWebSockets through socketify: everyone subscribes to a topic, `publish` fans it out in C++.

Its own runner polls the native loop without pause; here the loop is turned by hand, once a frame,
which is when uWebSockets writes what was published. So only that pass is on the clock.
"""

from socketify import App, AppListenOptions, CompressOptions, OpCode, WebSocket

from bench.peers import room

TOPIC = "room"
IDLE_TIMEOUT_S = 900


class Socketify(room.Room):
    def __init__(self) -> None:
        self._members = 0
        self._app = App()
        self._app.ws(
            "/*",
            {
                "compression": CompressOptions.DISABLED,
                "idle_timeout": IDLE_TIMEOUT_S,
                "open": self._open,
                "close": self._close,
            },
        )
        self._app.listen({"port": 0, "host": "127.0.0.1"}, self._listening)

    def __len__(self) -> int:
        return self._members

    def turn(self) -> None:
        self._app.loop.uv_loop.run_nowait()

    def broadcast(self, text: bytes) -> None:
        self._app.publish(TOPIC, text, OpCode.TEXT)
        self.turn()

    def _listening(self, at: AppListenOptions) -> None:
        self.port = at.port

    def _open(self, ws: WebSocket) -> None:
        ws.subscribe(TOPIC)
        self._members += 1

    def _close(self, ws: WebSocket, code: int, message: object) -> None:
        self._members -= 1


if __name__ == "__main__":
    room.serve(Socketify)
