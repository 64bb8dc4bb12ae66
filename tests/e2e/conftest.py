"""What the tests of whole nodes share: nodes, a Valkey that outlives them, browsers and stages.

Rule: what needs a browser is imported where it is used, since not every environment has Playwright.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from bench.local import Node
from chat.ops.engine import EmbeddedEngine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.e2e.embedded import Embedded, Theatre


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    """A Valkey of the test's own."""
    with EmbeddedEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node of two shards that the tests of a module share, with the module's SETTINGS if it has
    any; each test uses rooms of its own."""
    settings = getattr(request.module, "SETTINGS", {})
    with Node(tmp_path_factory.mktemp("node"), **settings) as node:
        yield node


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A Chromium that the tests of a module share."""
    from tests.e2e.browsers import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Theatre"]:
    """A node, a site that it lets in, and a Chromium, which the tests of a module share."""
    from tests.e2e.embedded import opened_theatre

    with opened_theatre(tmp_path_factory.mktemp("node")) as theatre:
        yield theatre


@pytest.fixture
def embed(theatre: "Theatre") -> Iterator[Callable[..., "Embedded"]]:
    """Opens pages of the site, with the stage on their video, in a room of the test's own."""
    from tests.e2e.embedded import embedding

    with embedding(theatre) as embed:
        yield embed


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
