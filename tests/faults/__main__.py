"""`make faults`, or `python -m tests.faults`: every fault under load, and the ledger after each.

Exits with 1 when a ledger does not balance. A whole run writes its figures into
docs/reliability.md.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from redis.exceptions import RedisError
from rich.console import Console

from chat.ops.engine import EngineError
from tests.faults import report
from tests.faults.kinds import Fault
from tests.faults.run import BUSES, QUICK_VIEWERS, VIEWERS, chosen, run
from tests.faults.verdict import Breach

RUNS = 3
PIPED_COLUMNS = 150
CANNOT = (AssertionError, OSError, TimeoutError, EngineError, RedisError)
"""How a run ends that does not come to its audit: what was to be mended is not."""

console = Console()
if not console.is_terminal:
    console = Console(width=PIPED_COLUMNS, soft_wrap=True)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=0, help="decides all; printed when it is not given"
    )
    parser.add_argument("--quick", action="store_true", help="few viewers, the most telling faults")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--bus", choices=sorted(BUSES), default="single")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each fault, with seeds in a row")
    parser.add_argument("--keep", type=Path, help="a new folder for the nodes' logs")
    return parser.parse_args()


async def one(fault: Fault, bus: str, seed: int, viewers: int, folder: Path) -> report.Row:
    """One run, told as it goes."""
    console.print(f"[bold]{fault.name}[/] …", highlight=False, end=" ")
    row = report.Row(fault.name)
    try:
        result = await run(fault, bus, seed, viewers, folder)
    except CANNOT as error:
        row.verdict.breach(Breach.WRONG, f"it could not be run: {error!r:.2000}")
        console.print("[bold red]could not be run[/]")
    else:
        row.add(result)
        verdict = result.verdict
        word = "[green]balances[/]" if verdict.balances else "[bold red]does not balance[/]"
        console.print(
            f"{word}: {result.acknowledged:,} acknowledged, {verdict.delivered:,} deliveries, "
            f"{verdict.shed:,} left out, {verdict.said:,} said to be lost; {result.seconds:.0f} s",
            highlight=False,
        )
    for note in row.verdict.notes:
        console.print(f"    {note}", highlight=False, markup=False)
    return row


def end_like_ctrl_c() -> None:
    """SIGTERM ends all that was started, too."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def main() -> int:
    said = arguments()
    end_like_ctrl_c()
    seed = said.seed or random.randrange(1, 1_000_000)
    viewers = QUICK_VIEWERS if said.quick else VIEWERS
    faults = chosen(said.bus, said.only, said.quick)
    console.print(f"{len(faults)} faults on a {said.bus} bus, {viewers} viewers; --seed {seed}")
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="danmaku-faults-") as temporary:
        folder = said.keep or Path(temporary)
        for number, fault in enumerate(faults):
            total = report.Row(fault.name)
            for again in range(said.runs):
                place = folder / f"{number}-{again}"
                place.mkdir(parents=True)
                row = await one(fault, said.bus, seed + again, viewers, place)
                total.merge(row)
            rows.append(total)
    console.print(report.table(rows))
    balanced = all(row.verdict.balances for row in rows)
    console.print(f"{time.monotonic() - began:.0f} s; --seed {seed}")
    if balanced and not (said.quick or said.only):
        report.write(rows, said.bus, viewers, seed)
    return 0 if balanced else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("ended before the end")
