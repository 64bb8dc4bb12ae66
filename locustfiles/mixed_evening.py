"""A mixed evening: a quiet start, a peak of everything at once, and an end.

Shows that none of it spoils the rest: a hot room and many small ones, a backend's bulk, lost
connections and moderators, all on one node, each judged as in its own scenario. The
shape takes --users as the peak and --run-time as the length of the evening.
"""

import time

from locust import LoadTestShape

from locustfiles import bulk_broadcast, busy_rooms, churn, flash_crowd, moderation_storm
from locustfiles.evening import stage
from locustfiles.users import Watcher

DEFAULT_USERS = 100
DEFAULT_S = 60


class HotWatcher(Watcher):
    """Most are in the one room in which it is said."""

    weight = 8

    def rooms(self) -> list[str]:
        return [flash_crowd.ROOM]


class HotTypist(flash_crowd.Streamer):
    fixed_count = 4


class Zapper(busy_rooms.Zapper):
    weight = 3


class Commuter(churn.Commuter):
    weight = 2


class Resident(churn.Resident):
    fixed_count = 1


class Publisher(bulk_broadcast.Publisher):
    fixed_count = 1


class Crowd(bulk_broadcast.Crowd):
    weight = 2


class Raider(moderation_storm.Raider):
    weight = 1


class Passerby(moderation_storm.Passerby):
    weight = 1


class Evening(LoadTestShape):
    """From few to many, and down to few again."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        assert self.runner
        options = self.runner.environment.parsed_options
        assert options
        seconds = float(options.run_time or DEFAULT_S)
        gone = time.perf_counter() - self.start_time
        return stage(gone / seconds, options.num_users or DEFAULT_USERS)
