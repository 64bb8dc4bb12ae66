"""The quick half of the faults, with a schedule of its own that is always the same.

`make faults` does all of them, with more viewers and a seed of its own.
"""

from pathlib import Path

import pytest

from tests.faults.kinds import Fault
from tests.faults.run import QUICK_VIEWERS, chosen, run

SEED = 1


CASES = [("single", fault) for fault in chosen("single", quick=True)]
CASES.append(("embedded", chosen("embedded", "bus restarted empty", quick=True)[0]))


@pytest.mark.parametrize(("bus", "fault"), CASES, ids=lambda part: getattr(part, "name", part))
async def test_the_ledger_balances(bus: str, fault: Fault, tmp_path: Path) -> None:
    result = await run(fault, bus, SEED, QUICK_VIEWERS, tmp_path)
    assert result.verdict.balances, "\n".join(result.verdict.notes)
    assert result.verdict.delivered > result.acknowledged > 0
