"""Being refused: what `load_config` finds wrong, as the tests ask for it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from chat.config.load import ConfigError, load_config

SECRET = "correct-horse-battery-staple-0123456789"


def problems_of(path: Path | None = None, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load_config(path, environ or {})
    return refused.value.problems


def refusal(path: Path | None, environ: Mapping[str, str]) -> ConfigError | None:
    try:
        load_config(path, environ)
    except ConfigError as refused:
        return refused
    return None
