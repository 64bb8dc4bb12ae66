"""A flash crowd: a stream is on, and everybody comes into its room within two seconds; they watch,
leave, and come again as somebody new.

Shows that arriving at once costs nobody a message: each of them is welcomed, is shown one and the
same history, and from there on every message that eight typists send meanwhile, in order. Run it
with a spawn rate of half the users, which is what `make load` does.
"""

import random
import time

import gevent
from locust import constant, task

from locustfiles.connection import Lost
from locustfiles.users import Typist, Viewer
from locustfiles.verdict import must_happen

ROOM = "load:flash"
EVERY_S = 10
RUSH_S = 2
WATCH_S = 6

must_happen("join", "send→ack")


class Streamer(Typist):
    """Those the crowd comes for."""

    fixed_count = 8

    def rooms(self) -> list[str]:
        return [ROOM]


class Newcomer(Viewer):
    """One of the crowd. All rush in with the turn of the same ten seconds, on all workers."""

    weight = 1
    wait_time = constant(0.2)

    def on_start(self) -> None:
        super().on_start()
        self.entered = time.monotonic()

    def rooms(self) -> list[str]:
        return [ROOM]

    @task
    def come_again(self) -> None:
        """When the time has come: leave, and be back within the rush as somebody new."""
        now = time.monotonic()
        if now // EVERY_S == self.entered // EVERY_S or now - self.entered < WATCH_S:
            return
        self.connection.settle()
        self.connection.close()
        self.connection = self.somebody_new()
        gevent.sleep(random.random() * RUSH_S)
        self.entered = time.monotonic()
        try:
            self.enter()
        except Lost:
            self.stop()
