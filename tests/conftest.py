"""In CI nothing that must be there is missing without a word.

On a developer's machine a test that needs Valkey, Chromium, node, npm or curl is skipped where
there is none. With CI set in the environment such a skip is a failure, also of a whole file; only
what OPTIONAL names may be missing.

Several workers may share the work, a file each: those that wait are spread among those that are
busy, and none of them is last. They also share the machine, so no example has a deadline, nor has
making it.
"""

import os
import re
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

OPTIONAL = re.compile(
    "(picows|socketify|Go) is not installed|peer is not here|root may write anywhere"
    "|may not open so many files"
    "|the kernel does not allow io_uring"
)
WAITING = ("faults", "e2e")
"""Folders whose tests mostly wait, for nodes, browsers and timeouts; the longest files first."""
SPREAD = 0.8
"""Over how much of the other files they are spread."""

settings.register_profile("danmaku", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("danmaku")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = dict.fromkeys(item.path for item in items)
    waiting = [path for name in WAITING for path in files if path.parent.name == name]
    busy = [path for path in files if path.parent.name not in WAITING]
    place = {path: SPREAD * i / len(waiting) for i, path in enumerate(waiting)}
    place |= {path: i / len(busy) for i, path in enumerate(busy)}
    items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_what_is_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_what_is_missing(report)
    return report


def fail_what_is_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    # What is expected to fail is skipped, too; its longrepr is no (file, line, reason).
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not OPTIONAL.search(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI does not allow: {reason}"
