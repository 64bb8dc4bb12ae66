"""The API on a real Valkey, in a thread, and a client that speaks plain HTTP to it.

Rules. One request, one connection. What must be broken on the wire is written to a socket by hand.
Whoever waits, waits for a condition under a bound.
"""

import asyncio
import http.client
import json
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis

from chat.api.metrics import API_FIELDS
from chat.api.protocol import Protocol
from chat.api.server import make_server
from chat.bus.crowds import Crowds
from chat.bus.entries import Entry, pack
from chat.bus.keys import Keys
from chat.bus.likes import LikeCounts
from chat.bus.store import Outgoing, open_store
from chat.bus.tracing import Tracer
from chat.config.sections import Config
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard
from shard.listen import listen
from shard.passing import PASSED, Passing
from tests.chat.rig import BOUND_S, configured, new_prefix

JSON = "application/json"
NDJSON = "application/x-ndjson"
WS_PORT = 8765

Headers = dict[str, str]


def until(condition: Callable[[], object], what: str) -> None:
    """Ask until `condition` holds."""
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.002)


def new_room(prefix: str = "房间") -> str:
    return f"{prefix}:{secrets.token_hex(6)}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == JSON
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def paths(self) -> list[str]:
        """The fields that are wrong."""
        return [problem.get("path", "") for problem in self.error["problems"]]


class Api:
    """A running API; its config is the default one but for what is given."""

    def __init__(self, url: str, tracer: Tracer | None = None, **sections: dict[str, Any]) -> None:
        usual: dict[str, Any] = {"bus": {"prefix": new_prefix(), "partitions": 4}}
        for name, values in sections.items():
            usual[name] = usual.get(name, {}) | values
        self.config: Config = configured(**usual)
        self.url = url
        self.board, self.own = Scoreboard(FIELDS, 2), Scoreboard(API_FIELDS, 1)
        self._listener = listen("127.0.0.1", 0, 128, 65536)
        self.port = int(self._listener.getsockname()[1])
        self._folder = tempfile.TemporaryDirectory()
        self.passed = Path(self._folder.name) / "passed.sock"
        self.owners: list[Callable[[], None]] = []
        self._server = make_server(
            *(self.config, url, self.board, self.own, WS_PORT, self.passed),
            owners=self.owners,
            tracer=tracer,
        )
        sockets = {"sockets": [self._listener]}
        self._thread = threading.Thread(target=self._server.run, kwargs=sockets)
        self._thread.start()

    def end(self) -> None:
        """What SIGTERM does."""
        self._server.should_exit = True

    def close(self) -> None:
        self.end()
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive()
        assert not self.passed.exists()
        self._folder.cleanup()

    def connection(self) -> AbstractContextManager[http.client.HTTPConnection]:
        return connected(self.port)

    def connections_of(self, port: int = 0) -> list[Protocol]:
        """What the server keeps of connections that have a place; of that from a port, if one is
        given."""
        found = list(self._server.server_state.connections)
        mine: list[Protocol] = [one for one in found if isinstance(one, Protocol)]
        return [one for one in mine if (one.client and one.client[1] == port) or not port]

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        kind: str | None = JSON,
        headers: Headers | None = None,
    ) -> Answer:
        """One request; an iterable body is sent chunk by chunk."""
        sent = dict(headers or {})
        if body is not None and kind is not None:
            sent.setdefault("Content-Type", kind)
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            sent["Transfer-Encoding"] = "chunked"
        with self.connection() as connection:
            connection.request(method, path, body, sent, encode_chunked=chunked)
            return read(connection)

    def send(self, method: str, path: str, document: object = None, **headers: str) -> Answer:
        """A request with a JSON document, or without a body."""
        data = None if document is None else json.dumps(document).encode()
        return self.call(method, path, data, headers=headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, room: str, message: object, **headers: str) -> Answer:
        """Publish a JSON document to a room."""
        data = json.dumps(message).encode()
        return self.call("POST", messages_of(room), data, headers=headers)

    def stream(self, room: str, body: bytes | Iterable[bytes]) -> Answer:
        """Publish lines to a room."""
        return self.call("POST", messages_of(room), body, NDJSON)

    def streaming(self, room: str) -> AbstractContextManager[http.client.HTTPConnection]:
        """A stream of lines to a room that has begun."""
        return streaming(self.port, room)

    def broadcast(self, document: object) -> Answer:
        return self.call("POST", "/v1/broadcast", json.dumps(document).encode())

    def history(self, room: str, query: str = "limit=500") -> list[dict[str, Any]]:
        answer = self.get(f"{messages_of(room)}?{query}")
        if answer.status == 404:
            return []
        found: list[dict[str, Any]] = answer.json["messages"]
        return found

    def texts(self, room: str) -> list[str]:
        return [message["text"] for message in self.history(room)]

    def whole_history(self, room: str) -> list[str]:
        """The texts of a room, page by page."""
        seen: list[str] = []
        after: int | None = 0
        while after is not None:
            answer = self.get(f"{messages_of(room)}?limit=500&after={after}")
            if answer.status == 404:
                return []
            seen += [message["text"] for message in answer.json["messages"]]
            after = answer.json["next"]
        return seen

    def raw(self, data: bytes) -> bytes:
        """Send bytes; all that is answered until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), BOUND_S) as client:
            client.sendall(data)
            found = b""
            while chunk := client.recv(65536):
                found += chunk
            return found

    def pass_on(self, data: bytes, client: str = "203.0.113.7") -> socket.socket:
        """Send bytes as one whose connection a shard passes on."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            viewer = socket.create_connection(door.getsockname(), BOUND_S)
            taken, _ = door.accept()
        passing = Passing(str(self.passed))
        handed = partial(passing.hand_over, taken.fileno(), client, data)
        until(lambda: handed() is PASSED, "who takes it")
        taken.close()
        passing.shut()
        return viewer

    def notices(self) -> list[bytes]:
        """The entries of the broadcast stream."""
        keys = Keys(self.config.bus.prefix, self.config.bus.partitions)
        with redis.Redis.from_url(self.url, protocol=2) as client:
            found: Any = client.xrange(keys.broadcast)
            return [fields[b"m"] for _, fields in found]

    def put(self, room: str, *entries: Entry) -> None:
        """What a shard, or a newer node, publishes."""

        async def publish() -> None:
            store = open_store(self.config, self.url)
            batch = [Outgoing(room, "u", pack(entry)) for entry in entries]
            await store.publish(batch, "e1", 1_000, 0)
            await store.close()

        asyncio.run(publish())

    def spoil(self, room: str, *seqs: int) -> None:
        """Put what nobody can read in places of a room that has been published to."""
        keys = Keys(self.config.bus.prefix, self.config.bus.partitions)
        with redis.Redis.from_url(self.url, protocol=2) as client:
            for seq in seqs:
                client.xadd(keys.history(room), {"m": b"\xc1"}, id=f"{seq}-0")
            client.hset(keys.room(room), "seq", str(max(seqs)))

    def report_online(self, room: str, count: int, *uids: str) -> None:
        """What a shard says of a room's viewers, and of who came."""

        async def report() -> None:
            store = open_store(self.config, self.url)
            crowds, partition = Crowds(store, 20), store.keys.partition(room)
            await crowds.report(partition, "s1", [(room, count)], {room: uids})
            await store.close()

        asyncio.run(report())

    def like(self, room: str, counts: dict[str, int]) -> None:
        """What a shard adds to a room's likes."""

        async def add() -> None:
            store = open_store(self.config, self.url)
            likes = LikeCounts(store.servers, store.keys, store.retention, "s1")
            await likes.add(store.keys.partition(room), 1, {room: counts})
            await store.close()

        asyncio.run(add())

    def metric(self, line: str) -> bool:
        """Whether `/metrics` shows this line."""
        return line in self.get("/metrics").body.decode().splitlines()


@contextmanager
def connected(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND_S)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def streaming(port: int, room: str) -> Iterator[http.client.HTTPConnection]:
    """A stream of lines to a room that has begun; it is up to the caller to send chunks."""
    with connected(port) as connection:
        connection.putrequest("POST", messages_of(room))
        connection.putheader("Content-Type", NDJSON)
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        yield connection


def chunk(data: bytes) -> bytes:
    """One chunk as HTTP writes it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def read(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def quoted(room: str) -> str:
    """A room's name as it stands in a path."""
    return "".join(f"%{byte:02X}" for byte in room.encode())


def messages_of(room: str) -> str:
    return f"{path_of(room)}/messages"


def path_of(room: str) -> str:
    return f"/v1/rooms/{quoted(room)}"


def lines(*messages: object) -> bytes:
    """NDJSON."""
    return b"".join(
        json.dumps(message, ensure_ascii=False).encode() + b"\n" for message in messages
    )
