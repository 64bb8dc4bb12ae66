"""Readers on the Valkey all share, and on one whose connections may be cut; and many servers."""

from collections.abc import AsyncIterator, Iterator

import pytest

from chat.bus import feed as feed_module
from chat.ops.engine import EmbeddedEngine, find_binary
from tests.chat.bus.desk import Desk, running
from tests.chat.rig import new_prefix
from tests.servers import Cluster, Sentinels


@pytest.fixture
async def desk(
    valkey: EmbeddedEngine, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    # Whatever waits for a block to end by itself fails by its bound.
    monkeypatch.setattr(feed_module, "BLOCK_S", 300.0)
    async for desk in running(Desk(valkey.url, prefix)):
        yield desk


@pytest.fixture
async def own_desk(
    own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """On a Valkey whose connections may be cut."""
    monkeypatch.setattr(feed_module, "BLOCK_S", 300.0)
    async for desk in running(Desk(own_valkey.url, new_prefix())):
        yield desk


@pytest.fixture(scope="module")
def whole_cluster() -> Iterator[Cluster]:
    if find_binary() is None:
        pytest.skip("no Valkey or Redis server here")
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """A Cluster that is well, whatever the test before did to it."""
    yield whole_cluster
    whole_cluster.repair()


@pytest.fixture(scope="module")
def all_sentinels() -> Iterator[Sentinels]:
    if find_binary() is None:
        pytest.skip("no Valkey or Redis server here")
    with Sentinels() as sentinels:
        yield sentinels


@pytest.fixture
def sentinels(all_sentinels: Sentinels) -> Iterator[Sentinels]:
    """Likewise."""
    yield all_sentinels
    all_sentinels.repair()
