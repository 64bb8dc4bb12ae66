"""APIs that tests share, each test in rooms of its own; and one whose Valkey may be stopped."""

from collections.abc import Iterator

import pytest

from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import Api, new_room

KEY = "钥匙-s3cret"


@pytest.fixture(scope="session")
def api(valkey: EmbeddedEngine) -> Iterator[Api]:
    """Without a key, and with small bodies."""
    api = Api(valkey.url, api={"body_bytes": 4096}, rooms={"history": 6000})
    yield api
    api.close()


@pytest.fixture(scope="session")
def keyless(valkey: EmbeddedEngine) -> Iterator[Api]:
    """Just as it is configured when nothing is."""
    api = Api(valkey.url)
    yield api
    api.close()


@pytest.fixture(scope="session")
def keyed(valkey: EmbeddedEngine) -> Iterator[Api]:
    """With `KEY` as its key."""
    api = Api(valkey.url, api={"key": KEY})
    yield api
    api.close()


@pytest.fixture
def stoppable(own_valkey: EmbeddedEngine) -> Iterator[Api]:
    """On a Valkey of its own, which it does not wait for long."""
    api = Api(own_valkey.url, bus={"timeout_ms": 1000})
    yield api
    api.close()


@pytest.fixture
def room() -> str:
    """A room nobody else uses, with a name that has to be quoted in a path."""
    return new_room()
