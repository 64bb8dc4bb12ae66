"""Connections to Redis: nothing is asked twice, and one name for whatever goes wrong."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    DataError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from chat.bus.connect import FAILURES, OURS, Packing, connect, elsewhere
from chat.ops.engine import EmbeddedEngine

LONG_S, LITTLE_S = 300.0, 0.05
"""Whatever waits for the long one fails by its bound."""


@asynccontextmanager
async def connected(
    url: str, timeout_s: float = LONG_S, connect_s: float = LONG_S
) -> AsyncIterator[Any]:
    client: Any = connect(url, timeout_s, connect_s)
    try:
        yield client
    finally:
        await client.aclose()


class Rude:
    """Greets whoever connects, and hangs up at the first command; `heard` is all that was asked."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line.removeprefix(b"*"))):
                size = int((await reader.readline()).removeprefix(b"$"))
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[0] != b"CLIENT":
                self.heard.append(words[0])
                break
            writer.write(b"+OK\r\n")
        writer.close()


class TestAsking:
    async def test_what_was_not_answered_is_not_asked_again(self, tmp_path: Path) -> None:
        rude, path = Rude(), tmp_path / "rude.sock"
        server = await asyncio.start_unix_server(rude.serve, path)
        async with server, connected(f"unix://{path}") as client:
            with pytest.raises(FAILURES):
                await client.incr("counter")
        assert rude.heard == [b"INCRBY"]

    async def test_replies_are_of_the_second_protocol(self, valkey: EmbeddedEngine) -> None:
        async with connected(valkey.url) as client:
            assert (await client.client_info())["resp"] == "2"


class TestElsewhere:
    """What it means is shown in test_servers.py."""

    @pytest.mark.parametrize(
        "error",
        [
            ReadOnlyError("You can't write against a read only replica."),
            MasterDownError("Link with MASTER is down"),
            MovedError("1 127.0.0.1:7000"),
            AskError("1 127.0.0.1:7000"),
            TryAgainError("Multiple keys request during rehashing of slot"),
            ClusterDownError("The cluster is down"),
            ResponseError("UNBLOCKED force unblock from blocking operation"),
            ResponseError(
                "Error running script (call to f_1): @user_script: 3: -READONLY You can't"
            ),
        ],
    )
    def test_a_server_that_is_not_the_one_has_done_nothing(self, error: Exception) -> None:
        assert elsewhere(error)

    @pytest.mark.parametrize(
        "error",
        [
            ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
            ResponseError("unknown command 'READONLY', with args beginning with: "),
            BusyLoadingError("Redis is loading the dataset in memory"),
            *(ConnectionError("closed"), TimeoutError(), OSError(), b"READONLY ", None),
        ],
    )
    def test_all_else_may_have_been_done(self, error: object) -> None:
        assert not elsewhere(error)


class TestFailing:
    async def test_nobody_there(self) -> None:
        async with connected("unix:///nowhere/to/be.sock") as client:
            with pytest.raises(FAILURES):
                await client.ping()

    async def test_who_does_not_answer_in_time(self, own_valkey: EmbeddedEngine) -> None:
        assert own_valkey.pid is not None
        async with connected(own_valkey.url, LITTLE_S) as client:
            os.kill(own_valkey.pid, signal.SIGSTOP)
            try:
                with pytest.raises(FAILURES):
                    await client.ping()
            finally:
                os.kill(own_valkey.pid, signal.SIGCONT)

    async def test_who_does_not_accept_in_time(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
            socket.create_connection(listener.getsockname()),  # now its queue is full
        ):
            url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
            async with connected(url, connect_s=LITTLE_S) as client:
                with pytest.raises(FAILURES):
                    await client.ping()

    async def test_a_command_that_is_refused(
        self, valkey: EmbeddedEngine, prefix: str, raw: Any
    ) -> None:
        await raw.set(prefix, "a string")
        async with connected(valkey.url) as client:
            with pytest.raises(FAILURES, match="WRONGTYPE"):
                await client.xlen(prefix)


def test_a_connection_just_closed_is_a_failure_like_others(valkey: EmbeddedEngine) -> None:
    async def write_to_closed() -> None:
        async with connected(valkey.url) as client:
            connection = await client.connection_pool.get_connection()
            connection._writer.transport.abort()
            with pytest.raises(FAILURES):
                await connection.send_command("PING")
            await connection.disconnect()
            await client.connection_pool.release(connection)

    uvloop.run(write_to_closed())


WORDS = st.sampled_from(["SET", "CONFIG GET", "XINFO STREAM", b"PING"])
ARGUMENTS = st.lists(
    st.one_of(
        st.text(st.characters(blacklist_categories=["Cs"])),
        st.binary(),
        st.integers(),
        st.floats(),
        st.binary(min_size=10_000, max_size=10_000),
    ),
    max_size=20,
)


class TestPacking:
    @given(WORDS, ARGUMENTS)
    def test_commands_are_the_bytes_that_redis_py_makes_of_them(
        self, word: str | bytes, arguments: list[Any]
    ) -> None:
        theirs = redis.Connection().pack_command(word, *arguments)
        assert b"".join(Packing().pack_command(word, *arguments)) == b"".join(theirs)

    @pytest.mark.parametrize("nothing", [None, True, [1], {}])
    def test_what_can_be_no_argument_is_no_command(self, nothing: Any) -> None:
        with pytest.raises(DataError):
            Packing().pack_command("SET", "k", nothing)

    @pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s"])
    def test_it_is_how_every_connection_packs(self, url: str) -> None:
        pool: Any = connect(url, 1, 1).connection_pool
        assert pool.connection_class in OURS.values()
        assert pool.make_connection().pack_command.__func__ is Packing.pack_command
