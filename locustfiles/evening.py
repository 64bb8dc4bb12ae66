"""How many are there as an evening goes by.

Rules. Pure: the hour in, the crowd out.
"""

QUIET, OVER = 0.2, 0.8
"""Parts of the evening: until the first it is quiet, from the second on it ends."""
FEW = 0.3
"""Of the peak, how many come early and stay till the end."""
RAMP_S = 2


def stage(now: float, peak: int) -> tuple[int, float] | None:
    """Users, and how many may come or go a second, when that part of the evening is over; None from
    its end on."""
    if now >= 1:
        return None
    few = max(1, round(peak * FEW))
    users = peak if QUIET <= now < OVER else few
    return users, max(1.0, peak / RAMP_S)
