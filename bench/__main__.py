"""`python -m bench [WORKLOAD ...]`: run the workloads, print one table each, keep the figures.

Rule: knows the list of workloads only by the files in bench/workloads. A workload that cannot run
here is named with its reason and the rest still runs; one that fails makes the exit code 1.
"""

import argparse
import os
import pkgutil
import sys
import time
from importlib import import_module

from rich.console import Console

from bench import workloads
from bench.harness import CLIENT_CORE, Unavailable, pin
from bench.report import Section, save, show
from bench.workloads import Settings

FIRST = ["fanout", "room", "joins", "idle"]


def names() -> list[str]:
    """Every workload, the well-known first, later files after them by name."""
    found = {module.name for module in pkgutil.iter_modules(workloads.__path__)}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure and print.")
    parser.add_argument("workload", nargs="*", help=f"default: all ({', '.join(names())})")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the viewers, 2 rounds")
    options = parser.parse_args()
    if unknown := set(options.workload) - set(names()):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    options, console = arguments(), Console()
    if not console.is_terminal:
        console = Console(width=150)
    settings = Settings(rounds=2 if options.quick else options.rounds, quick=options.quick)
    if (os.cpu_count() or 1) < 2:
        console.print("One core only: server and client share it, so the figures say little.")
    pin(0, CLIENT_CORE)
    sections: list[Section] = []
    skipped: dict[str, str] = {}
    failed: list[str] = []
    for name in options.workload or names():
        began = time.monotonic()
        try:
            section = import_module(f"bench.workloads.{name}").run(settings)
        except Unavailable as reason:
            skipped[name] = str(reason)
            console.print(f"[yellow]{name}: skipped: {reason}[/]\n", highlight=False)
        except (RuntimeError, TimeoutError, OSError) as problem:
            failed.append(name)
            console.print(f"[red]{name}: failed: {problem}[/]\n", highlight=False)
        else:
            sections.append(section)
            show(section, console)
            console.print(f"  {name} took {time.monotonic() - began:.0f} s\n", style="dim")
    console.print(f"Figures: {save(sections, skipped)}", highlight=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
