"""Bulk broadcast: a backend publishes what happens elsewhere, in arrays, as lines, to many rooms at
once and to everyone, while viewers watch.

Shows that a backend may send as much as it likes: what the API accepts comes to every viewer of the
room, once and in the order it was posted in; a batch that is sent again after its answer was lost
is published once; a notice comes to everyone once.
"""

import json
import random
from itertools import cycle
from uuid import uuid4

from locust import constant_throughput, task

from locustfiles.books import ANYWHERE
from locustfiles.users import WORDS, Backend, Watcher
from locustfiles.verdict import must_happen

ROOMS = [f"load:bulk:{n}" for n in range(4)]
EVERYONE = "everyone"
ARRAY = 50
LINES = 100

must_happen("POST messages", "POST messages again", "POST lines", "POST broadcast", method="POST")


class Crowd(Watcher):
    """Watches one of the rooms."""

    def on_start(self) -> None:
        self.room = random.choice(ROOMS)
        super().on_start()

    def rooms(self) -> list[str]:
        return [self.room]


class Publisher(Backend):
    """About 200 messages a second, and now and then a notice."""

    fixed_count = 2
    wait_time = constant_throughput(2)

    def on_start(self) -> None:
        once = self.publish_an_array, self.publish_lines, self.broadcast
        self.programme = cycle((*once, *once, self.publish_an_array_twice, self.notify_everyone))

    @task
    def go_on(self) -> None:
        """The next of what there is to publish."""
        next(self.programme)()

    def publish_an_array(self) -> None:
        room = random.choice(ROOMS)
        self.publish(room, [{"text": self.text(room)} for _ in range(ARRAY)])

    def publish_an_array_twice(self) -> None:
        room = random.choice(ROOMS)
        messages = [{"text": text, "id": uuid4().hex} for text in self.texts(room, ARRAY)]
        self.publish(room, messages, again=True)

    def publish_lines(self) -> None:
        room = random.choice(ROOMS)
        lines = "\n".join(json.dumps({"text": text}) for text in self.texts(room, LINES))
        done = self.call("POST", f"/rooms/{room}/messages", "POST lines", lines=lines)
        self.vouch(room, done)

    def broadcast(self) -> None:
        message = {"text": self.text(ANYWHERE), "kind": "system"}
        self.call("POST", "/broadcast", "POST broadcast", {"rooms": ROOMS, "message": message})

    def notify_everyone(self) -> None:
        message = {"text": self.text(EVERYONE)}
        self.call("POST", "/broadcast", "POST notice", {"all": True, "message": message})

    def text(self, room: str) -> str:
        return self.stamped(room, random.choice(WORDS))

    def texts(self, room: str, count: int) -> list[str]:
        return [self.text(room) for _ in range(count)]
