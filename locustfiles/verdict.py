"""When a run has passed, and how it is told while it runs.

Rules. A run fails by Locust's own measure, any failed request in any worker, or because something
it is about never happened: a run that proves nothing must not look like success. Each scenario
names what `must_happen`. The master judges, or the only process there is; a worker that went away
took its checks along, so that fails too.

Imported by every scenario: the options for where the API is are here.
"""

import logging
import time
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import (
    STATE_CLEANUP,
    STATE_STOPPED,
    STATE_STOPPING,
    MasterRunner,
    Runner,
    WorkerRunner,
)

from locustfiles.books import Books
from locustfiles.connection import PATIENCE_S

BOOKS = Books()
"""What the viewers of this process know together."""
PROGRESS_S = 5
ENDING = (STATE_STOPPING, STATE_STOPPED, STATE_CLEANUP)

_needed: list[list[tuple[str, str]]] = [[("delivery", "ws")]]
"""Of the rows of each list one may not be empty."""
_began: list[float] = []
_lost_workers: list[str] = []


def must_happen(*names: str, method: str = "ws", any_of: bool = False) -> None:
    """Rows of the closing table that may not be empty, or not all of them; `method` is what stands
    beside them."""
    rows = [(name, method) for name in names]
    _needed.extend([rows] if any_of else [[row] for row in rows])


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any) -> None:
    parser.add_argument("--api", default="http://127.0.0.1:8001", help="where the HTTP API is")
    parser.add_argument(
        "--api-key",
        default="",
        env_var="DANMAKU_API_KEY",
        is_secret=True,
        help="its key, unless it needs none",
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def have_patience(environment: Environment, **_: object) -> None:
    """Users wait for what they are owed before they go; give them the time."""
    environment.stop_timeout = max(float(environment.stop_timeout or 0), 2 * PATIENCE_S)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Environment, **_: object) -> None:
    BOOKS.clear()
    _began[:] = [time.monotonic()]
    _lost_workers.clear()
    options, runner = environment.parsed_options, environment.runner
    if options and options.only_summary and runner and not isinstance(runner, WorkerRunner):
        gevent.spawn(_tell_progress, environment, runner, _began[0])


@events.test_stopping.add_listener  # type: ignore[untyped-decorator]
def look_for_workers(environment: Environment, **_: object) -> None:
    if isinstance(environment.runner, MasterRunner):
        _lost_workers.extend(one.id for one in environment.runner.clients.missing)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge(environment: Environment, **_: object) -> None:
    """Say what never happened, and have Locust exit with 1 for it."""
    if not _began or isinstance(environment.runner, WorkerRunner):
        return
    stats = environment.stats
    never = [
        " or ".join(name for name, _ in rows)
        for rows in _needed
        if not any(stats.get(*row).num_requests for row in rows)
    ]
    wrong = [f"never happened: {', '.join(never)}"] if never else []
    wrong += [f"{len(_lost_workers)} workers were lost"] if _lost_workers else []
    for what in wrong:
        logging.error(what)
    if wrong:
        environment.process_exit_code = 1


def _tell_progress(environment: Environment, runner: Runner, began: float) -> None:
    """A line every few seconds, until the run ends or another begins."""
    before = 0
    while runner.state not in ENDING and _began == [began]:
        gevent.sleep(PROGRESS_S)
        now = environment.stats.get("delivery", "ws").num_requests
        print(
            f"{time.monotonic() - began:4.0f} s  {runner.user_count} users  "
            f"{(now - before) / PROGRESS_S:,.0f} frames with messages/s  "
            f"{environment.stats.total.num_failures} failures",
            flush=True,
        )
        before = now
