"""Churn: connections are lost all the time, without a word, and come back with their position.

Shows that coming back is free of loss: who resumes is sent exactly what it missed, and what it had
typed when the connection broke, it says again with the same id and is published once. Half of the
connections are reset, the other half end as those of a process that died; no close is said.
"""

import random

import gevent
from locust import between, task

from locustfiles.connection import Lost
from locustfiles.users import WORDS, Typist, Viewer
from locustfiles.verdict import must_happen
from locustfiles.watch import WHOLE

ROOMS = [f"load:churn:{n}" for n in range(2)]
AWAY_S = 3

must_happen("send→ack", WHOLE)


class Resident(Typist):
    """Stays, and keeps the rooms alive."""

    fixed_count = 4

    def rooms(self) -> list[str]:
        return ROOMS


class Commuter(Viewer):
    """Loses its connection every few seconds, as a phone on a train."""

    wait_time = between(1, 4)

    def rooms(self) -> list[str]:
        return ROOMS

    @task(3)
    def lose_the_connection(self) -> None:
        self.come_and_go()

    @task(1)
    def lose_it_while_typing(self) -> None:
        """Nobody knows whether the last words arrived, so they are said again."""
        for room in ROOMS:
            self.connection.say(room, random.choice(WORDS))
        self.come_and_go()

    def come_and_go(self) -> None:
        self.connection.cut(abort=random.random() < 0.5)
        gevent.sleep(random.random() * AWAY_S)
        try:
            self.connection.come_back()
        except Lost:
            self.stop()
