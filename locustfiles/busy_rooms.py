"""Busy rooms: fifty of them, in each some messages a second; viewers are in three and zap.

Shows that rooms are kept apart: each has its own order, nobody is shown what was said elsewhere or
in a room it has left, and who looks back through the history finds what all others were shown.
"""

import random

from locust import between, task

from locustfiles.users import WORDS, Viewer
from locustfiles.verdict import must_happen

ROOMS = [f"load:busy:{n}" for n in range(50)]
EACH = 3

must_happen("send→ack", "leave", "history")


class Zapper(Viewer):
    """In three rooms at a time: types, changes one for another, looks back."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.chosen = random.sample(ROOMS, EACH)
        super().on_start()

    def rooms(self) -> list[str]:
        return self.chosen

    @task(10)
    def type_something(self) -> None:
        self.connection.say(random.choice(self.chosen), random.choice(WORDS))

    @task(2)
    def zap(self) -> None:
        old, new = random.choice(self.chosen), random.choice(ROOMS)
        if new not in self.chosen:
            self.connection.leave(old)
            self.chosen[self.chosen.index(old)] = new
            self.connection.join(new)

    @task(1)
    def look_back(self) -> None:
        """Two pages of a room's history."""
        room = random.choice(self.chosen)
        page = self.connection.page(room)
        if page and page.more and page.history and isinstance(page.history[0].seq, int):
            self.connection.page(room, before=page.history[0].seq)
