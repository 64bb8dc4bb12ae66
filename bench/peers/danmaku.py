"""Danmaku measured as the other servers are: all its processes, its own engine among them.

As it is configured by default, but for what `settings` say. One shard for each core it may use.
"""

from contextlib import ExitStack

from bench.harness import children_of
from bench.node import Node
from bench.peers.published import Published


class Danmaku(Published):
    path = "/ws?room=room-$room"
    counted = "messages"
    say = '{"t":"send","room":"room-$room","text":"$stamp$me 前方高能","ref":$ref}'
    text = "x"
    quiet_s = 6.0  # the count of who is there goes out every five seconds while it changes

    def __init__(self, cores: int = 1, **settings: object) -> None:
        self._settings = settings
        super().__init__(cores)

    def start(self, stack: ExitStack) -> None:
        node = Node(server_shards=len(self.cores), **self._settings)
        self._node = stack.enter_context(node)
        self.pids, self.port = [node.pid, *children_of(node.pid)], node.port

    def payload(self, size: int) -> None:
        self.text = "x"
        self.text *= max(1, size + 1 - round(self.flush(1)["bytes"]))

    def publish(self) -> None:
        self._node.post("/v1/rooms/room-0/messages", {"text": self.text})
