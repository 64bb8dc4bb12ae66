"""`python -m tests.lowest`: the quick tests, with every dependency as old as pyproject.toml allows.

Rules. Each requirement of the package itself is held to the lower bound it names; what those need,
and what runs the tests, is the newest that goes with them. All of it is installed in an environment
of its own, under build/. A bound that cannot be installed, or with which a test fails, is wrong:
raise it. Other people's clients, which some tests use, want newer ones: those tests are not run.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
HOME: Final = ROOT / "build/lowest"
REQUIREMENT: Final = re.compile(r"([\w-]+)(?:\[[\w,-]+\])?>=([\w.]+)")
QUICK: Final = (
    *("tests/chat/test_cli.py", "tests/e2e/test_serve.py", "tests/e2e/test_delivery.py"),
    *("tests/chat/api", "tests/chat/wire", "tests/chat/workers"),
    *(f"tests/chat/bus/test_{name}.py" for name in ("connect", "scripts", "servers", "cluster")),
    *(f"tests/chat/policy/test_{name}.py" for name in ("presend", "text", "tokens", "words")),
)
"""Where dependencies are used: each by name, and all of them in a node."""
TOOLS: Final = ("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist")
OTHERS: Final = (
    "tests/chat/api/test_centrifugal.py",
    "tests/chat/api/test_openapi.py",
    "tests/chat/workers/test_webhooks_documented.py",
    "tests/chat/wire/dialects/test_centrifugal_protobuf.py",
    "tests/chat/wire/dialects/test_centrifugal_schema.py",
)
"""Tests that import clients of other people, or drive a browser."""


def lowest(project: Path = ROOT / "pyproject.toml") -> list[str]:
    """A constraint for each requirement: its name and the one version it allows."""
    wanted = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    found = [REQUIREMENT.fullmatch(one) for one in wanted]
    return [f"{one[1]}=={one[2]}" for one in found if one is not None]


def main() -> int:
    python = HOME / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], check=True)
    constraints = HOME / "constraints.txt"
    constraints.write_text("\n".join(lowest()) + "\n", "utf-8")
    install = ("-m", "pip", "install", "--quiet", "--constraint", constraints, "--editable")
    command = [str(one) for one in (python, *install, ROOT, *TOOLS)]
    if status := subprocess.run(command, check=False).returncode:
        return status
    tests = [*QUICK, *(f"--ignore={one}" for one in OTHERS), *sys.argv[1:]]
    command = [str(python), "-m", "pytest", "-q", "-n", "3", "--dist", "loadfile", *tests]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
