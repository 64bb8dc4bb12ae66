"""A file of one's own to configure with."""

from pathlib import Path

import pytest


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"
