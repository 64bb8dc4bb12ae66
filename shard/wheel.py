"""A flat timing wheel: every connection's one next deadline, in a ring of arrays.

Rules. Time is a tick number passed in; nothing here looks at a clock. A row has one entry that
counts: the one in the slot of its `due` column. Refreshing a deadline therefore stores nothing:
inbound bytes change the row's `seen`, and when the wheel visits the row, the owner looks whether
the deadline really came and files it again if not. Whatever else lies in a slot is stale and is
passed over, so nothing is ever searched or removed.

Cost: 4 bytes a row and one visit a period, whatever the traffic. A heap would cost a push a frame.
"""

from array import array


class TimingWheel:
    """`slots` ticks around; `due` is the table's column, shared with it.

    Deadlines further away than a turn are visited early and filed again by their owner.
    """

    def __init__(self, due: "array[int]", slots: int = 128) -> None:
        self._due = due
        self._slots = [array("I") for _ in range(slots)]
        self._turn = slots
        self._now = 0
        self._cursor = 0

    def start(self, tick: int) -> None:
        """Set the time of the first tick, before anything is filed."""
        self._now = tick

    def file(self, row: int, tick: int) -> None:
        """Visit `row` at `tick`: at the next tick if that is past, within a turn if it is far."""
        now, turn = self._now, self._turn
        if not now < tick < now + turn:
            tick = now + 1 if tick <= now else now + turn - 1
        if self._due[row] != tick:
            self._due[row] = tick
            self._slots[tick % turn].append(row)

    def cancel(self, row: int) -> None:
        """Never visit `row` unless it is filed again."""
        self._due[row] = 0

    def turn_to(self, tick: int, limit: int) -> tuple[list[int], bool]:
        """Advance towards `tick`; (rows due now, whether `tick` is reached).

        Returns after about `limit` entries, so that a crowded slot does not hold up a turn; call
        again with the same tick for the rest. A returned row is no longer filed.
        """
        rows: list[int] = []
        due = self._due
        while limit > 0:
            slot = self._slots[self._now % len(self._slots)]
            while self._cursor < len(slot) and limit > 0:
                row = slot[self._cursor]
                self._cursor += 1
                limit -= 1
                if due[row] == self._now:
                    due[row] = 0
                    rows.append(row)
            if self._cursor < len(slot):
                break
            if slot:
                self._slots[self._now % len(self._slots)] = array("I")
            self._cursor = 0
            if self._now >= tick:
                return rows, True
            self._now += 1
            limit -= 1
        return rows, False
