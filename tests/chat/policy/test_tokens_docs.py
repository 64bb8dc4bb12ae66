"""docs/auth.md makes tokens in several languages: each that is here makes one that is taken."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from chat.config.sections import Auth
from chat.policy.claims import (
    MAX_AVATAR,
    MAX_BADGE,
    MAX_BADGES,
    MAX_LEVEL,
    MAX_ROOMS,
)
from chat.policy.identity import GUEST_NAME, MAX_NAME, MAX_UID, Identity
from chat.policy.tokens import Tokens

PAGE = (Path(__file__).parents[3] / "docs" / "auth.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"^```(python|js|go|sh)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SECRET = "a secret of more than thirty-two bytes"
NODE, GO, OPENSSL = map(shutil.which, ("node", "go", "openssl"))


def printed(folder: Path, command: Sequence[str], file: str, program: str) -> str:
    (folder / file).write_text(program, "utf-8")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*command, file],
        cwd=folder,
        env=os.environ | {"DANMAKU_AUTH_SECRET": SECRET, "PATH": path, "GOCACHE": str(folder)},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def check(who: Identity) -> None:
    assert (who.uid, who.name, who.rooms) == ("u7", "阿花", (("live:42", "vip"),))


def test_all_programs_are_found() -> None:
    assert sorted(PROGRAMS) == ["go", "js", "python", "sh"]


def test_in_python(tmp_path: Path) -> None:
    made = printed(tmp_path, [sys.executable, "-X", "utf8"], "make.py", PROGRAMS["python"])
    check(Tokens(Auth(secret=SECRET)).verify(made))


@pytest.mark.skipif(NODE is None, reason="no node")
def test_in_javascript(tmp_path: Path) -> None:
    made = printed(tmp_path, ["node"], "make.js", PROGRAMS["js"])
    check(Tokens(Auth(secret=SECRET)).verify(made))


@pytest.mark.skipif(GO is None, reason="Go is not installed")
def test_in_go(tmp_path: Path) -> None:
    made = printed(tmp_path, ["go", "run"], "make.go", PROGRAMS["go"])
    check(Tokens(Auth(secret=SECRET)).verify(made))


@pytest.mark.skipif(OPENSSL is None, reason="no openssl")
def test_by_the_command_with_a_key_of_its_own(tmp_path: Path) -> None:
    made = printed(tmp_path, ["sh", "-e"], "make.sh", PROGRAMS["sh"])
    check(Tokens(Auth(public_keys=str(tmp_path / "public.pem"))).verify(made))


@pytest.mark.parametrize(
    ("claim", "bounds"),
    [
        ("sub", [MAX_UID]),
        ("name", [MAX_NAME]),
        ("avatar", [MAX_AVATAR]),
        ("level", [MAX_LEVEL]),
        ("badges", [MAX_BADGES, MAX_BADGE]),
        ("rooms", [MAX_ROOMS]),
    ],
)
def test_its_bounds_are_the_codes(claim: str, bounds: list[int]) -> None:
    [row] = re.findall(rf"^\| `{claim}` \|.*$", PAGE, re.MULTILINE)
    for bound in bounds:
        assert re.search(rf"\b{bound}\b", row), row


def test_so_is_the_length_of_a_guests_name() -> None:
    assert f"cut to {GUEST_NAME}\ncharacters" in PAGE
