"""`python -m tests.fuzz [TARGET …] [--seconds N]`: the fuzz targets, guided by coverage.

Each runs under atheris for N seconds, from its seeds. Ends with a line per target, and badly when
one was broken: then the input is printed in hexadecimal, to be pinned in the target's SEEDS.
"""

import argparse
import re
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.fuzz import TARGETS
from tests.fuzz.mutate import MAX_BYTES

INPUT_LIMIT_S: Final = 10
"""How long one input may take; the slowest honest one takes milliseconds."""
LAST_LINES: Final = 60
"""Enough for a traceback and what libFuzzer says below it."""

STATISTIC: Final = re.compile(r"stat::(\w+):\s+(\d+)")


@dataclass
class Report:
    """What became of one target."""

    target: str
    executions: int
    per_second: int
    crashes: list[bytes]
    failed: bool

    def __str__(self) -> str:
        speed = f"{self.executions:>9,} executions {self.per_second:>7,}/s"
        return f"{self.target:<13} {speed}  {len(self.crashes)} crashes"


def fuzz(target: str, seconds: int) -> Report:
    """Run one target in a process of its own, and show how it gets on."""
    with TemporaryDirectory(prefix="danmaku-fuzz-") as directory:
        corpus, crashes = Path(directory, "corpus"), Path(directory, "crashes")
        corpus.mkdir()
        crashes.mkdir()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fuzz.guided", target, str(corpus)),
                *(f"-max_total_time={seconds}", f"-timeout={INPUT_LIMIT_S}"),
                *(f"-max_len={MAX_BYTES}", f"-artifact_prefix={crashes}/"),
                # Much is decided in C, where nothing is counted: the seeds have to do for that.
                *("-keep_seed=1", "-print_final_stats=1"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        statistics: dict[str, int] = {}
        last: deque[str] = deque(maxlen=LAST_LINES)
        with process:
            for line in process.stdout:
                if "\tpulse" in line or "\tINITED" in line:
                    print(f"{target:<13} {line.strip()}", flush=True)
                elif match := STATISTIC.match(line):
                    statistics[match[1]] = int(match[2])
                elif not line.startswith("#"):
                    last.append(line)
        if process.returncode:
            print(*last, sep="", flush=True)
        return Report(
            target,
            statistics.get("number_of_executed_units", 0),
            statistics.get("average_exec_per_sec", 0),
            [path.read_bytes() for path in sorted(crashes.iterdir())],
            bool(process.returncode),
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    options = parser.parse_args()
    if unknown := {*options.targets} - {*TARGETS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if find_spec("atheris") is None:
        print("atheris is not installed: `make fuzz`, or pip install -e '.[fuzz]'")
        return 1
    reports = [fuzz(target, options.seconds) for target in options.targets or TARGETS]
    for report in reports:
        print(report)
        for crash in report.crashes:
            print(f"  bytes.fromhex({crash.hex()!r})")
    return int(any(report.failed for report in reports))


if __name__ == "__main__":
    sys.exit(main())
