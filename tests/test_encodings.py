"""Files of ours are UTF-8 whatever the locale of who runs this."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for name in ("chat", "shard", "pool") for path in (ROOT / name).rglob("*.py"))


def guesses(source: str) -> Iterator[int]:
    """Lines on which text is read or written in whatever encoding the locale has."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        named = {keyword.arg for keyword in node.keywords}
        match node.func:
            case ast.Attribute(attr="read_text" | "write_text" as what):
                told = "encoding" in named or len(node.args) > (what == "write_text")
            case ast.Name(id="open"):
                modes = [arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)]
                told = "encoding" in named or "b" in "".join(map(str, modes))
            case _:
                continue
        if not told:
            yield node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_read_with_its_encoding(path: Path) -> None:
    assert list(guesses(path.read_text("utf-8"))) == []


def test_the_reading_itself_sees_all_of_them() -> None:
    source = """
Path("a").read_text()
Path("a").read_text("utf-8")
Path("a").write_text("x")
Path("a").write_text("x", encoding="utf-8")
open("a")
open("a", "rb")
open("a", encoding="utf-8")
"""
    assert list(guesses(source)) == [2, 4, 6]


def test_what_is_read_at_start_is_read_in_a_locale_without_utf8() -> None:
    code = """
import locale
assert locale.getpreferredencoding(False).lower() not in ("utf-8", "utf8")
from chat.api import page
from chat.config.load import load_config
from chat.config.sections import Config
from pathlib import Path
page.routes(Config(), 8000)
load_config(Path("config.toml"), {})
"""
    environ = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
