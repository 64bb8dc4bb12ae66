"""A node's scoreboard as figures: what each shard has now, and what goes on a second.

Rules. Pure but for the scoreboard it reads. Rates are those between this look and the one before,
the loop's lag is the worst of WINDOW looks; so how often somebody looks changes nothing in them. A
shard serves while its loop comes to its ticks: one that was killed, or stopped, does not.

Names are the fields of `live_paths`, which are made here and nowhere else.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from chat.api.families import HEALTH as HEALTH_FAMILIES
from chat.api.families import NOT_DELIVERED, REFUSED
from chat.api.family import Family
from chat.api.live_paths import RatesOut, ShardOut
from chat.counters import ChatCount
from pool.scoreboard import Scoreboard
from shard.counters import LOOP_LAG_US, Count

WINDOW: Final = 5
"""Looks that the loop's lag is the worst of."""
SILENT: Final = 2
"""Looks without a tick of its loop after which a shard does not serve."""
MS: Final = 1000

Row = Sequence[int]


def _columns(families: Sequence[object], name: str) -> Mapping[str, int]:
    """A family's columns by reason."""
    return next(one.columns for one in families if isinstance(one, Family) and one.name == name)


DROPPED: Final = _columns(NOT_DELIVERED, "frames_dropped")
REFUSED_BY: Final = _columns(REFUSED, "commands_refused")
TURNED_AWAY: Final = _columns(REFUSED, "handshakes_refused")
CLOSED: Final = _columns(HEALTH_FAMILIES, "connections_closed")


class Figures:
    """Those of a scoreboard, look by look."""

    def __init__(self, board: Scoreboard) -> None:
        self._rows = [board.row(shard) for shard in range(board.rows)]
        self._looks: deque[tuple[float, list[Row]]] = deque(maxlen=WINDOW + 1)

    def look(self, now: float) -> None:
        """Read the scoreboard; `now` is seconds, monotonic."""
        self._looks.append((now, [tuple(row) for row in self._rows]))

    def shards(self) -> list[ShardOut]:
        """Each shard, as of the last look."""
        return [self._shard(number) for number in range(len(self._rows))]

    def _shard(self, number: int) -> ShardOut:
        rows = [rows[number] for _, rows in self._looks]
        row = rows[-1]
        return ShardOut(
            shard=number,
            serving=_ticks(row) > (_ticks(rows[-1 - SILENT]) if len(rows) > SILENT else 0),
            starts=row[ChatCount.STARTS],
            connections=row[Count.CONNECTIONS],
            rooms=row[ChatCount.ROOMS],
            slow_readers=row[Count.SLOW_READERS],
            backlog_bytes=row[Count.BACKLOG_BYTES],
            loop_lag_ms=_worst_lag_ms(rows[0], row) if len(rows) > 1 else 0.0,
            bus_connected=bool(row[ChatCount.BUS_CONNECTED]),
        )

    def rates(self) -> RatesOut:
        """All shards' together, a second."""
        if len(self._looks) < 2:
            return RatesOut()
        (then, before), (now, after) = self._looks[-2], self._looks[-1]
        seconds = max(now - then, 1e-3)

        def rate(column: int) -> float:
            grown = sum(row[column] for row in after) - sum(row[column] for row in before)
            return round(max(grown, 0) / seconds, 1)

        def reasons(columns: Mapping[str, int]) -> dict[str, float]:
            """Those of which there was something."""
            found = {reason: rate(column) for reason, column in columns.items()}
            return {reason: one for reason, one in found.items() if one}

        return RatesOut(
            received=rate(ChatCount.MESSAGES_IN),
            published=rate(ChatCount.PUBLISHED),
            delivered=rate(ChatCount.MESSAGES_DELIVERED),
            writes=rate(Count.WRITES),
            sent_bytes=rate(Count.BYTES_OUT),
            joins=rate(ChatCount.JOINS),
            shed=rate(ChatCount.MESSAGES_SHED),
            dropped=reasons(DROPPED),
            refused=reasons(REFUSED_BY),
            turned_away=reasons(TURNED_AWAY),
            closed=reasons(CLOSED),
        )


def _ticks(row: Row) -> int:
    """How often a shard's loop came to its tick."""
    return sum(row[LOOP_LAG_US.first : LOOP_LAG_US.sum])


def _worst_lag_ms(before: Row, after: Row) -> float:
    """The bound of the longest lag between two looks; beyond all bounds, twice the last."""
    bounds = (*LOOP_LAG_US.bounds, 2 * LOOP_LAG_US.bounds[-1])
    grown = [
        bound
        for bound, column in zip(bounds, range(LOOP_LAG_US.first, LOOP_LAG_US.sum), strict=True)
        if after[column] > before[column]
    ]
    return grown[-1] / MS if grown else 0.0
