"""One Valkey for the tests that need several nodes, or one that outlives a node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.local import Node
from chat.ops.engine import EmbeddedEngine


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    """A Valkey of the test's own."""
    with EmbeddedEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of two shards that the tests of a module share; each uses rooms of its own."""
    folder: Path = tmp_path_factory.mktemp("node")
    with Node(folder) as node:
        yield node


@pytest.fixture(autouse=True)
def _pages_are_closed(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test has opened in its browser is closed behind it: an open page goes on drawing."""
    if "browser" not in request.fixturenames:
        yield
        return
    browser = request.getfixturevalue("browser")
    kept = [*browser.contexts]
    yield
    for context in browser.contexts:
        if context not in kept:
            context.close()
