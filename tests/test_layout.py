"""Where files are: tests mirror the source, a file is one noun, a folder says what it is for.

Read from the tree; nothing is imported.
"""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

MIRRORED = ("chat", "pool", "shard")
LONGEST = 400
"""Lines of a file. Most nouns need half of it."""
MOST_LOOSE = 6
"""Files in chat/ that are in none of its wings."""

DECLARATIONS = (
    "chat/wire/foreign.py",  # what only other dialects ask for
    "chat/wire/dialects/dialect.py",  # what the hub asks of a dialect
    "pool/handle.py",  # two numbers with names; the table's tests are about them
    "shard/handler.py",  # what a group asks of who uses it
    "shard/settings.py",  # limits and their defaults; each is tested where it is obeyed
    "shard/wires/wire.py",  # what a group asks of a wire
)
"""Files in which nothing is done, so nothing is there to be tested."""

GUIDES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
"""Pages that lead through the source."""
NAMED = re.compile(r"`(\w[\w/]*\.(?:py|lua|c|js|mjs))`")
"""A file, by the end of its path."""

PACKAGES = sorted(init.parent for init in ROOT.glob("*/__init__.py"))
GENERATED = {"node_modules", "out"}

FILES = sorted(
    file.as_posix()
    for path in (*ROOT.glob("*.py"), *(path for top in PACKAGES for path in top.rglob("*.py")))
    if not GENERATED.intersection((file := path.relative_to(ROOT)).parts)
)
SOURCES = [
    file for file in FILES if file.split("/")[0] in MIRRORED and not file.endswith("/__init__.py")
]
TESTS = [
    file
    for file in FILES
    if file.startswith(tuple(f"tests/{package}/" for package in MIRRORED))
    and Path(file).name.startswith("test_")
]
FOLDERS = sorted({Path(file).parent for file in FILES if file.split("/")[0] in MIRRORED})


def mirrored(test: str, sources: list[str]) -> str | None:
    """The source file that a test file is about: the one with the longest name it begins with."""
    folder = Path(test).parent.relative_to("tests")
    words = Path(test).stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    files = [(folder / f"{name}.py").as_posix() for name in names]
    return next((file for file in files if file in sources), None)


def does_nothing(source: str) -> bool:
    """Whether functions are but their docstrings, apart from what sets up an object."""
    return all(
        node.name == "__init__" or (len(node.body) == 1 and ast.get_docstring(node) is not None)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


class TestMirror:
    def test_every_test_is_about_a_source_file(self) -> None:
        strays = [test for test in TESTS if mirrored(test, SOURCES) is None]
        assert not strays, f"no source file has the name of {', '.join(strays)}"

    def test_every_source_file_has_a_test(self) -> None:
        tested = {mirrored(test, SOURCES) for test in TESTS}
        untested = [file for file in SOURCES if file not in tested and file not in DECLARATIONS]
        assert not untested, f"no test has the name of {', '.join(untested)}"

    def test_what_needs_no_test_has_none_and_does_nothing(self) -> None:
        tested = {mirrored(test, SOURCES) for test in TESTS}
        for file in DECLARATIONS:
            assert file in SOURCES, f"{file} is gone"
            assert file not in tested, f"{file} has a test, so it needs no excuse"
            assert does_nothing((ROOT / file).read_text()), f"{file} does something: test it"


class TestFiles:
    def test_none_is_longer_than_one_noun_needs(self) -> None:
        lines = {file: len((ROOT / file).read_text().splitlines()) for file in FILES}
        long = [f"{file} ({count})" for file, count in lines.items() if count > LONGEST]
        assert not long, f"look for the second noun in {', '.join(long)}"

    def test_few_are_loose_in_chat(self) -> None:
        loose = sorted(path.name for path in (ROOT / "chat").glob("[!.]*") if path.is_file())
        assert len(loose) <= MOST_LOOSE, f"find a wing for one of {', '.join(loose)}"


class TestGuides:
    def test_files_they_name_are_there(self) -> None:
        tops = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."]
        files = [path for top in tops for path in top.rglob("*.*")]
        there = [path.as_posix() for path in files if not GENERATED.intersection(path.parts)]
        for guide in GUIDES:
            named = NAMED.findall((ROOT / guide).read_text())
            gone = [name for name in named if not any(one.endswith(f"/{name}") for one in there)]
            assert named
            assert not gone, f"{guide} leads to {', '.join(gone)}"


class TestFolders:
    def test_each_says_what_it_is_for(self) -> None:
        for folder in FOLDERS:
            init = ROOT / folder / "__init__.py"
            assert init.is_file(), f"{folder} has no __init__.py"
            assert ast.get_docstring(ast.parse(init.read_text())), f"{folder} does not say"

    def test_each_is_installed_and_the_page_and_its_client_with_them(self) -> None:
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
        names = [".".join(folder.parts) for folder in FOLDERS]
        assert settings["packages"] == sorted([*names, "chat.clientjs", "chat.web"])


class TestTheReadingItself:
    def test_the_longest_name_counts(self) -> None:
        sources = ["chat/hub/hub.py", "chat/hub/hub_away.py", "chat/rooms/away.py"]
        assert mirrored("tests/chat/hub/test_hub.py", sources) == "chat/hub/hub.py"
        assert mirrored("tests/chat/hub/test_hub_auth.py", sources) == "chat/hub/hub.py"
        assert mirrored("tests/chat/hub/test_hub_away_too.py", sources) == "chat/hub/hub_away.py"

    def test_neither_another_folder_nor_half_a_word_will_do(self) -> None:
        sources = ["chat/hub/hub.py", "chat/rooms/away.py"]
        assert mirrored("tests/chat/hub/test_away.py", sources) is None
        assert mirrored("tests/chat/hub/test_hubs.py", sources) is None
        assert mirrored("tests/chat/hub/test_my_hub.py", sources) is None

    def test_a_function_that_does_anything_is_seen(self) -> None:
        asked = 'class A(Protocol):\n    def f(self) -> int:\n        """A number."""\n'
        made = "class B(Exception):\n    def __init__(self) -> None:\n        self.a = 1\n"
        assert does_nothing(asked + made)
        assert not does_nothing(asked + "        return 1\n")
        assert not does_nothing(made + "    def f(self) -> int:\n        return 1\n")

    def test_there_is_something_to_read(self) -> None:
        assert {"pool/table.py", "chat/wire/dialects/native.py"} <= set(SOURCES)
        assert {"tests/pool/test_table.py", "tests/shard/wires/test_websocket.py"} <= set(TESTS)
        assert {"bench/harness.py", "locustfiles/run.py", "tests/e2e/crowd.py"} <= set(FILES)
