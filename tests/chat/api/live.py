"""A reader of live streams, as a console is one: events as they come, over a socket of its own."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.chat.api.rig import Api

Event = tuple[str, Any]


class Follower:
    """What a stream says."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer

    def next(self) -> Event | None:
        """The next event; None at the end."""
        name, data = "", ""
        while line := self.answer.readline().decode():
            line = line.rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
            elif name:
                return name, json.loads(data)
        return None

    def until(self, event: str, **fields: Any) -> Any:
        """The data of the next such event that has these fields."""
        while (found := self.next()) is not None:
            if found[0] == event and all(found[1].get(k) == v for k, v in fields.items()):
                return found[1]
        raise AssertionError(f"the stream ended without {event} {fields}")


@contextmanager
def following(api: Api, path: str = "/v1/live", **headers: str) -> Iterator[Follower]:
    """A stream that has begun."""
    with api.connection() as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.getheader("Content-Type", "").startswith("text/event-stream")
        yield Follower(answer)
