"""`python -m bench [WORKLOAD ...]`: run the workloads, print a table each and one at the end.

Rule: knows the list of workloads only by the files in bench/workloads; those called peers… need
other servers and run when asked for. A workload that cannot run here is named with its reason and
the rest still runs; one that fails makes the exit code 1.
"""

import argparse
import json
import os
import pkgutil
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import workloads
from bench.child import OUT
from bench.harness import CLIENT_CORE, Unavailable, pin
from bench.report import Section, document, save, show
from bench.summary import summary
from bench.workloads import Settings

FIRST = ["fanout", "fanout_15k", "room", "joins", "idle"]
OTHERS = "peers"


def names() -> list[str]:
    """Every workload, the well-known first, later files after them by name."""
    found = {module.name for module in pkgutil.iter_modules(workloads.__path__)}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure and print.")
    parser.add_argument("workload", nargs="*", help=f"one or more of {', '.join(names())}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the viewers, 2 rounds")
    parser.add_argument("--seconds", type=int, default=60, help="of `page` (default 60)")
    parser.add_argument("--peers", action="store_true", help="other servers, too")
    parser.add_argument("--plot", type=Path, metavar="JSON", help="only draw an earlier run again")
    options = parser.parse_args()
    if unknown := set(options.workload) - set(names()):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    return options


def chosen(options: argparse.Namespace) -> list[str]:
    if options.workload:
        return list(options.workload)
    return [name for name in names() if options.peers or not name.startswith(OTHERS)]


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run what is chosen, printing each table as it comes; the run as it is kept."""
    rounds = 2 if options.quick else options.rounds
    settings = Settings(rounds=rounds, quick=options.quick, seconds=options.seconds)
    sections: dict[str, Section] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in chosen(options):
        began = time.monotonic()
        try:
            section = import_module(f"bench.workloads.{name}").run(settings)
        except Unavailable as reason:
            skipped[name] = str(reason)
            console.print(f"{name}: skipped: {reason}\n", style="yellow", markup=False)
        except (RuntimeError, TimeoutError, OSError) as problem:
            failed[name] = str(problem)
            console.print(f"{name}: failed: {problem}\n", style="red", markup=False)
        else:
            sections[name] = section
            show(section, console)
            console.print(f"  {name} took {time.monotonic() - began:.0f} s\n", style="dim")
    return document(sections, skipped, failed)


def finish(run: dict[str, Any], console: Console) -> None:
    """The table of all aims, and the plots."""
    console.print(summary(run))
    try:
        from bench.plots import draw
    except ImportError as missing:
        console.print(f"No plots: {missing} (pip install 'danmaku[bench]')", markup=False)
        return
    for path in draw(run, OUT):
        console.print(f"Plot: {path}", highlight=False)


def main() -> int:
    options, console = arguments(), Console()
    if not console.is_terminal:
        console = Console(width=190)
    if options.plot:
        finish(json.loads(options.plot.read_text()), console)
        return 0
    if (os.cpu_count() or 1) < 2:
        console.print("One core only: server and client share it, so the figures say little.")
    pin(0, CLIENT_CORE)
    run = measure(options, console)
    finish(run, console)
    console.print(f"Figures: {save(run)}", highlight=False)
    return 1 if run["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
