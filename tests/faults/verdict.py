"""What an audit came to: sums over places and viewers, and the ways to be out of balance.

Rules. Sums and words only; what is a breach is the ledger's to know.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MOST_NOTES: Final = 20


class Breach(StrEnum):
    """How a ledger can be out of balance."""

    SILENT = "silent"
    HOLE = "hole"
    TWICE = "twice"
    DISORDER = "out of order"
    GHOST = "refused but seen"
    WRONG = "wrong"


@dataclass
class Verdict:
    """Sums over places and viewers, and the first breaches in words.

    `shed` counts what was left out of a crowded room and said to be, `merged` those of it that
    others stood for; `taken` what was taken back before the viewer came to it.
    `resent` counts messages that were seen again after the server had lost them and their producer
    had sent them again; `repeats` what a client drops by its number after it came back.
    """

    owed: int = 0
    delivered: int = 0
    said: int = 0
    away: int = 0
    shed: int = 0
    merged: int = 0
    taken: int = 0
    resent: int = 0
    repeats: int = 0
    breaches: Counter[Breach] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def breach(self, kind: Breach, note: str) -> None:
        self.breaches[kind] += 1
        if len(self.notes) < MOST_NOTES:
            self.notes.append(f"{kind}: {note}")

    def add(self, other: "Verdict", who: str = "") -> None:
        """Sum up."""
        self.owed += other.owed
        self.delivered += other.delivered
        self.said += other.said
        self.away += other.away
        self.shed += other.shed
        self.merged += other.merged
        self.taken += other.taken
        self.resent += other.resent
        self.repeats += other.repeats
        self.breaches.update(other.breaches)
        room = MOST_NOTES - len(self.notes)
        self.notes += [f"{who} {note}".strip() for note in other.notes[:room]]

    @property
    def balances(self) -> bool:
        return not self.breaches and self.owed == self.accounted

    @property
    def accounted(self) -> int:
        """Delivered, or not without a word."""
        return self.delivered + self.said + self.shed + self.taken
