"""Many small rooms where little is said: fifty rooms, each viewer in two of them.

Asks of the server: rooms kept apart, messages sent at once rather than batched, and that a viewer
who loses its connection and resumes with `since` has missed nothing.
"""

import random

from locust import between, task

from locustfiles.client import Viewer

ROOMS = 50


class QuietViewer(Viewer):
    wait_time = between(2, 8)

    def on_start(self) -> None:
        self.chosen = [f"load:quiet:{n}" for n in random.sample(range(ROOMS), 2)]
        super().on_start()

    def rooms(self) -> list[str]:
        return self.chosen

    @task(3)
    def watch(self) -> None:
        """Most of the time a viewer only reads."""

    @task(2)
    def type_something(self) -> None:
        self.connection.say(random.choice(self.chosen), "哈哈哈")

    @task(1)
    def lose_the_connection(self) -> None:
        self.come_back()
