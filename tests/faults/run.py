"""A fault by its name becomes a run: a bus and nodes for it, the fault, the audit.

Rules. The schedule comes from the seed and the fault's name alone, so one fault can be run again by
itself. Every run has servers of its own.
"""

import random
import re
from pathlib import Path
from typing import Final

from tests.faults.balance import Result
from tests.faults.bus import Embedded, Single
from tests.faults.kinds import FAULTS, Fault
from tests.faults.many import ClusterBus, SentinelBus
from tests.faults.scene import Scene
from tests.faults.verdict import Breach

BUSES: Final[dict[str, type[Single] | type[Embedded] | type[ClusterBus] | type[SentinelBus]]] = {
    "single": Single,
    "embedded": Embedded,
    "cluster": ClusterBus,
    "sentinel": SentinelBus,
}

VIEWERS: Final = 200
QUICK_VIEWERS: Final = 60


def chosen(bus: str, only: str = "", quick: bool = False) -> list[Fault]:
    """The faults that a kind of bus can suffer, of those whose name has `only` in it."""
    return [
        fault
        for fault in FAULTS
        if fault.needs <= BUSES[bus].powers and only in fault.name and (fault.quick or not quick)
    ]


async def run(fault: Fault, bus: str, seed: int, viewers: int, folder: Path) -> Result:
    """One run in an empty folder."""
    below = BUSES[bus](fault.durable, fault.proxied)
    chance = random.Random(f"{seed}:{fault.name}")
    padding, buffer = fault.padding, fault.buffer
    how = (fault.skewed, fault.crowd, fault.alike)
    scene = Scene(*(folder, below, chance, viewers, fault.settings, padding, buffer, *how))
    try:
        await scene.start()
        result = await scene.run(re.sub(r"\W+", "-", fault.name), fault.do)
    finally:
        await scene.stop()
    verdict = result.verdict
    if verdict.said and not (fault.loses or (below.volatile and fault.ends_nodes)):
        told = f"to {'; '.join(result.losers[:3])}"
        verdict.breach(Breach.WRONG, f"{verdict.said} said to be lost {told}: none had to be")
    if fault.crowd:
        for count, what in (
            (verdict.shed - verdict.merged, "left out"),
            (verdict.merged, "merged"),
            (result.busy, "refused because the room was busy"),
            (result.taken, "taken back"),
        ):
            if count <= 0:
                verdict.breach(Breach.WRONG, f"in a crowd nothing was {what}")
    return result
