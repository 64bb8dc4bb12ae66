"""uWebSockets through socketify: a room is a topic one subscribes to, `publish` fans out in C++.

Its own runner polls the native loop without pause. Here the native loop runs alone, or is turned by
hand, once a frame, which is when uWebSockets writes what was published: only that pass is on the
clock.
"""

from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode, WebSocket

from bench.peers import room

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
                "upgrade": self._upgrade,
                "open": self._open,
                "message": self._message,
                "close": self._close,
            },
        )
        self._app.listen({"port": 0, "host": "127.0.0.1"}, self._listening)

    def __len__(self) -> int:
        return self._members

    def run(self) -> None:
        self._app.loop.uv_loop.run()

    def turn(self) -> None:
        self._app.loop.uv_loop.run_nowait()

    def broadcast(self, text: bytes) -> None:
        self._app.publish(room.ROOM, text, OpCode.TEXT)
        self.turn()

    def _listening(self, at: AppListenOptions) -> None:
        self.port = at.port

    def _upgrade(self, response: Any, request: Any, context: Any) -> None:
        key = request.get_header("sec-websocket-key")
        response.upgrade(key, "", "", context, request.get_url())

    def _open(self, ws: WebSocket) -> None:
        ws.subscribe(ws.get_user_data())
        self._members += 1

    def _message(self, ws: WebSocket, text: str, kind: OpCode) -> None:
        self._app.publish(ws.get_user_data(), text, OpCode.TEXT)

    def _close(self, ws: WebSocket, code: int, message: object) -> None:
        self._members -= 1


if __name__ == "__main__":
    room.serve(Socketify)
