"""The Valkeys tests run against: one that all share, under prefixes of their own, or a private one
for those who stop, kill or empty it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis.asyncio as redis

from chat.ops.engine import EmbeddedEngine, find_binary
from tests.chat.rig import new_prefix


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedEngine]:
    if find_binary() is None:
        pytest.skip("no Valkey or Redis server here")
    with EmbeddedEngine() as engine:
        yield engine


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedEngine]:
    if find_binary() is None:
        pytest.skip("no Valkey or Redis server here")
    with EmbeddedEngine() as engine:
        yield engine


@pytest.fixture
def prefix() -> str:
    return new_prefix()


@pytest.fixture
async def raw(valkey: EmbeddedEngine) -> AsyncIterator[Any]:
    """A plain client of the shared Valkey; its types promise too little to be of use."""
    client: Any = redis.from_url(
        valkey.url, protocol=2, decode_responses=True, encoding_errors="replace"
    )
    yield client
    await client.aclose()
