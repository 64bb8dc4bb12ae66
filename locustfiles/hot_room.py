"""One room with everyone in it: most watch, eight type five messages a second each.

Asks of the server: 40 messages a second to every viewer, in order, none missing. A typist stays
under the limit for one connection (10 commands/s, burst 40).
"""

import random

import gevent
from locust import constant, constant_throughput, task

from locustfiles.client import Viewer

ROOM = "load:hot"
TYPISTS = 8
EACH_PER_S = 5


class Watcher(Viewer):
    wait_time = constant(1)

    def rooms(self) -> list[str]:
        return [ROOM]

    @task
    def watch(self) -> None:
        """The connection's own greenlet reads; there is nothing else to do."""


class Typist(Viewer):
    fixed_count = TYPISTS
    wait_time = constant_throughput(EACH_PER_S)

    def on_start(self) -> None:
        super().on_start()
        gevent.sleep(random.random() / EACH_PER_S)  # or all would type at the same instant

    def rooms(self) -> list[str]:
        return [ROOM]

    @task
    def type_something(self) -> None:
        self.connection.say(ROOM, "前方高能")
