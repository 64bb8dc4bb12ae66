"""`python -m tests.conformance`: Autobahn|Testsuite's fuzzing client against `shard.echo`.

All 517 cases must end OK or INFORMATIONAL, and close cleanly; anything else fails. The suite needs
CPython 2.7, so it gets an environment of its own under build/; where there is no Python 2.7 this
says so and ends well. `--quick` leaves out the compression cases that send thousands of large
messages.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.local import free_port

BUILD: Final = Path("build/conformance")
SUITE: Final = "autobahntestsuite==25.10.1"
GOOD: Final = frozenset({"OK", "INFORMATIONAL"})
QUICK: Final = [
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"),
    *("12.1.1", "12.2.3", "12.5.1", "13.1.1", "13.2.1"),
    *("13.3.1", "13.4.1", "13.5.1", "13.6.1", "13.7.1"),
]
SECTIONS: Final = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing",
    9: "limits and speed",
    10: "auto-fragmentation",
    12: "compression",
    13: "compression, other offers",
}


def python27() -> str | None:
    """A CPython 2.7 that runs, from PATH or among pyenv's."""
    pyenv = map(str, Path.home().glob(".pyenv/versions/2.7.*/bin/python2.7"))
    for found in filter(None, [shutil.which("python2.7"), *pyenv]):
        # pyenv's shim is on PATH even for versions that are not chosen.
        if not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
            return found
    return None


def suite(python: str) -> Path:
    """The suite's command, installed the first time."""
    wstest = BUILD / "py27" / "bin" / "wstest"
    if not wstest.exists():
        print(f"installing {SUITE} for {python} (once, about a minute) …", flush=True)
        maker = BUILD / "maker"
        run(sys.executable, "-m", "venv", str(maker))
        run(str(maker / "bin" / "pip"), "install", "-q", "virtualenv<20.22")
        run(str(maker / "bin" / "virtualenv"), "-q", "-p", python, str(BUILD / "py27"))
        run(str(BUILD / "py27" / "bin" / "pip"), "install", "-q", SUITE)
    return wstest


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def fuzz(wstest: Path, cases: list[str], limit_s: float) -> dict[str, dict[str, Any]]:
    """Run `cases` against a fresh echo server; their reports by case."""
    port = free_port()
    spec = {
        "outdir": str(BUILD / "reports"),
        "servers": [{"agent": "danmaku", "url": f"ws://127.0.0.1:{port}"}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (BUILD / "spec.json").write_text(json.dumps(spec))
    echo = subprocess.Popen(
        [sys.executable, "-m", "shard.echo", "--port", str(port)], stdout=subprocess.PIPE
    )
    assert echo.stdout is not None
    try:
        echo.stdout.readline()  # it says when it listens
        with (BUILD / "wstest.log").open("wb") as log:
            subprocess.run(
                [str(wstest), "-m", "fuzzingclient", "-s", str(BUILD / "spec.json")],
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
                check=True,
            )
    finally:
        echo.terminate()
        echo.wait(20)
        echo.stdout.close()
    reports: dict[str, dict[str, Any]] = json.loads((BUILD / "reports" / "index.json").read_text())[
        "danmaku"
    ]
    return reports


def show(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Print a table by section; the cases that are not good."""
    table = Table(title=f"Autobahn|Testsuite: {len(reports)} cases against shard.echo")
    for column in ("section", "", "cases", "OK", "informational", "else"):
        table.add_column(column, justify="left" if column in ("section", "") else "right")
    bad = [
        f"{case}: {report['behavior']}, close {report['behaviorClose']}"
        for case, report in reports.items()
        if not {report["behavior"], report["behaviorClose"]} <= GOOD
    ]
    for section, title in SECTIONS.items():
        found = [r for case, r in reports.items() if case.split(".")[0] == str(section)]
        if not found:
            continue
        by_outcome = Counter(report["behavior"] for report in found)
        ok, informational = by_outcome["OK"], by_outcome["INFORMATIONAL"]
        rest = len(found) - ok - informational
        row = (str(section), title, len(found), ok, informational, rest)
        table.add_row(*map(str, row), style="red" if rest else None)
    Console().print(table)
    for line in bad:
        print(line)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about half a minute, for CI")
    parser.add_argument("--limit", type=float, default=3600, help="seconds, at most")
    options = parser.parse_args()
    python = python27()
    if python is None:
        print("skipped: Autobahn|Testsuite needs a CPython 2.7, and there is none here")
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    reports = fuzz(suite(python), QUICK if options.quick else ["*"], options.limit)
    return 1 if show(reports) else 0


if __name__ == "__main__":
    sys.exit(main())
