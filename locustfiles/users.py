"""The users that scenarios are made of: one who watches, one who types, a backend.

Rules. A scenario's file says what its users do; what all of them need is here. A Viewer has one
connection and is in the rooms of `rooms()`. A Backend speaks HTTP to the API with its key. One who
needs both is both. All viewers of a process share its Books.

Danger: Locust kills a user's greenlet wherever it waits, so `on_stop` may find anything half done.
"""

import os
import random
import time
from typing import Any

import gevent
from locust import FastHttpUser, User, constant, constant_throughput, task
from locust.exception import RescheduleTask

from locustfiles.books import BACKEND, Source
from locustfiles.connection import Connection, Lost, Report
from locustfiles.verdict import BOOKS

DEFAULT_HOST = "ws://127.0.0.1:8000"
WORDS = ("前方高能", "哈哈哈", "23333", "awsl", "这也太好看了", "first!", "泪目", "好耶")


class Viewer(User):
    """A user with one connection, in the rooms of `rooms()`."""

    abstract = True
    lenient = False
    receive_buffer = 0

    def rooms(self) -> list[str]:
        raise NotImplementedError

    def on_start(self) -> None:
        self.report = Report(self.environment.events.request.fire)
        self.connection = self.somebody_new()
        try:
            self.enter()
        except Lost:
            self.stop()

    def on_stop(self) -> None:
        self.connection.settle()
        self.connection.close()

    def somebody_new(self) -> Connection:
        """A viewer the server has never seen, not connected yet."""
        host = (self.environment.host or DEFAULT_HOST).rstrip("/")
        host = host.replace("http", "ws", 1) if host.startswith("http") else host
        return Connection(self.report, f"{host}/ws", BOOKS, self.lenient, self.receive_buffer)

    def enter(self) -> None:
        self.connection.connect()
        for room in self.rooms():
            self.connection.join(room)


class Watcher(Viewer):
    """Only watches: the connection's own greenlet reads."""

    abstract = True
    wait_time = constant(1)

    @task
    def watch(self) -> None:
        """There is nothing else to do."""


class Typist(Viewer):
    """Types five messages a second, half of what one connection may."""

    abstract = True
    each_per_s = 5
    wait_time = constant_throughput(each_per_s)

    def on_start(self) -> None:
        super().on_start()
        gevent.sleep(random.random() / self.each_per_s)  # or all would type at the same instant

    @task
    def type_something(self) -> None:
        self.connection.say(random.choice(self.rooms()), random.choice(WORDS))


class Backend(FastHttpUser):
    """A service that speaks to the HTTP API, with the key of `--api-key`."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        options = environment.parsed_options
        self.host = options.api
        if options.api_key:
            self.default_headers = {"Authorization": f"Bearer {options.api_key}"}
        super().__init__(environment)
        self.source = Source(f"{BACKEND}-{os.urandom(4).hex()}")

    def call(
        self, method: str, path: str, name: str, body: Any = None, lines: str | None = None
    ) -> Any:
        """One call of the API, a document or lines; what it answered. Gives the task up unless
        that is a 200."""
        more: dict[str, Any] = {} if body is None else {"json": body}
        if lines is not None:
            more = {"data": lines, "headers": {"Content-Type": "application/x-ndjson"}}
        with self.client.request(
            method, f"/v1{path}", name=name, catch_response=True, **more
        ) as response:
            if response.status_code == 200:
                return response.json()
            response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
        raise RescheduleTask

    def stamped(self, room: str, words: str) -> str:
        """The next text of this backend for a room."""
        return self.source.stamp(room, time.monotonic_ns(), words)

    def publish(self, room: str, messages: list[dict[str, Any]], again: bool = False) -> None:
        """Publish an array; `again`, as one does that lost the first answer."""
        done = self.call("POST", f"/rooms/{room}/messages", "POST messages", messages)
        self.vouch(room, done)
        if again:
            done = self.call("POST", f"/rooms/{room}/messages", "POST messages again", messages)
            if (done["accepted"], done["duplicates"]) != (0, len(messages)):
                Report(self.environment.events.request.fire).now("order", "published twice")

    def vouch(self, room: str, done: dict[str, Any]) -> None:
        """What was published is owed to all in the room."""
        if done.get("last"):
            BOOKS.ledger.reached(room, done["epoch"], done["last"])
