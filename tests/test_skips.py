"""tests/conftest.py: what is missing is a skip here, and a failure in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MARKED = """
@pytest.mark.skipif(True, reason="no Chromium: apt install chromium")
def test_something(): ...
"""
SKIPS = """
def test_something():
    pytest.skip("no Valkey or Redis server here")
"""
NO_FILE = """
pytest.skip("no curl: apt install curl", allow_module_level=True)
"""
OPTIONAL = """
@pytest.mark.parametrize("library", ["picows", "socketify"])
def test_peer(library):
    pytest.skip(f"{library} is not installed")

@pytest.mark.skipif(True, reason="root may write anywhere")
def test_rights(): ...

@pytest.mark.xfail(reason="no node", strict=True)
def test_that_fails():
    pytest.fail("as expected")
"""


def outcome(folder: Path, tests: str, ci: str, *more: str) -> tuple[int, str]:
    """Exit status and output of pytest with a file of tests and `more` arguments."""
    (folder / "test_one.py").write_text(f"import pytest\n{tests}")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-rA",
            "-p",
            "tests.conftest",
            "--rootdir",
            folder,
            folder,
            *more,
        ],
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("tests", "missing"),
    [(MARKED, "no Chromium"), (SKIPS, "no Valkey"), (NO_FILE, "no curl")],
    ids=["marked", "skips", "file"],
)
class TestWhatIsMissing:
    def test_is_a_skip_here(self, tmp_path: Path, tests: str, missing: str) -> None:
        status, said = outcome(tmp_path, tests, ci="")
        assert status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), said
        assert "1 skipped" in said

    def test_is_a_failure_in_ci(self, tmp_path: Path, tests: str, missing: str) -> None:
        status, said = outcome(tmp_path, tests, ci="1")
        assert status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED), said
        assert f"skipped, which CI does not allow: {missing}" in said


def test_what_is_optional_may_be_missing_in_ci(tmp_path: Path) -> None:
    status, said = outcome(tmp_path, OPTIONAL, ci="1")
    assert status == pytest.ExitCode.OK, said
    assert "3 skipped, 1 xfailed" in said


def test_workers_tell_the_same(tmp_path: Path) -> None:
    """Also of a whole file, and in the last line."""
    status, said = outcome(tmp_path, SKIPS, "", "-n2")
    assert status == pytest.ExitCode.OK, said
    assert "1 skipped in" in said.splitlines()[-1]
    assert "no Valkey or Redis server here" in said
    for tests in (SKIPS, NO_FILE):
        status, said = outcome(tmp_path, tests, "1", "-n2")
        assert status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED), said
        assert "skipped, which CI does not allow: no" in said
