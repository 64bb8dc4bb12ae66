"""docs/configuration.md is what the sections and config.toml say."""

import re
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from chat.config.catalogue import kind, page, prose, read, shipped
from chat.config.live import LIVE
from chat.config.load import VARIABLES
from chat.config.sections import SECTIONS, TYPES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/configuration.md"


def test_the_page_is_written_from_them() -> None:
    wanted = "python -m chat.config.catalogue > docs/configuration.md"
    assert PAGE.read_text("utf-8") == page(), f"write it anew: {wanted}"


def test_what_is_shipped_is_the_repositorys() -> None:
    assert shipped() == (ROOT / "config.toml").read_text("utf-8")


def test_every_key_and_variable_is_there_once() -> None:
    text = page()
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == list(TYPES)
    assert sorted(re.findall(r" · `(DANMAKU_\w+)`$", text, re.MULTILINE)) == sorted(VARIABLES)


def test_it_says_of_each_key_what_a_reload_does_with_it() -> None:
    lines = re.findall(r"^### (.*)\n\n(.* · `DANMAKU_\w+`)$", page(), re.MULTILINE)
    assert [path for path, _ in lines] == list(TYPES)
    for path, line in lines:
        assert (" · *live* · " in line) == (path in LIVE)
        assert (" · *needs a restart* · " in line) == (path not in LIVE)


def test_every_key_has_a_reason_and_every_section_is_read() -> None:
    told = read(shipped())
    assert told.keys.keys() == TYPES.keys()
    assert all(any(lines) for lines in told.keys.values())
    assert told.sections.keys() == SECTIONS.keys()


def test_an_example_is_toml() -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", page(), re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        tomllib.loads(example)


def test_pages_it_leads_to_are_there() -> None:
    linked = set(re.findall(r"\]\(([\w.]+)\)", page()))
    assert {"hooks.md", "running.md"} <= linked
    assert [name for name in linked if not (PAGE.parent / name).is_file()] == []


@pytest.mark.parametrize(
    ("annotated", "name"),
    [
        (bool, "true or false"),
        (Annotated[int, Meta(ge=0, le=1_000_000)], "a whole number, 0 to 1,000,000"),
        (Annotated[str, Meta(min_length=1)], "a text, not empty"),
        (tuple[str, ...], "a list of texts"),
    ],
)
def test_kinds_have_names(annotated: object, name: str) -> None:
    assert kind(annotated) == name


def test_a_kind_nobody_named_is_an_error() -> None:
    with pytest.raises(TypeError, match="nobody has said"):
        kind(float)


def test_markdown_is_kept_from_texts_but_not_from_code() -> None:
    assert (
        prose("`*` or * and <a>, see docs/wire.md")
        == "`*` or \\* and \\<a>, see [wire.md](wire.md)"
    )
