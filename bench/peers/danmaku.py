"""Danmaku measured as the other servers are: posted over HTTP, the shard's CPU till all have it."""

from contextlib import ExitStack

from bench.node import Node
from bench.peers.published import Published


class Danmaku(Published):
    path = "/ws?room=bench"
    counted = "messages"
    text = "x"
    quiet_s = 6.0  # the count of who is there goes out every five seconds while it changes

    def start(self, stack: ExitStack) -> None:
        self._node = stack.enter_context(Node())
        self.pids, self.port = [self._node.shard], self._node.port

    def payload(self, size: int) -> None:
        self.text = "x"
        self.text *= max(1, size + 1 - round(self.flush(1)["bytes"]))

    def publish(self) -> None:
        self._node.post("/v1/rooms/bench/messages", {"text": self.text})
