"""In CI nothing that must be there is missing without a word.

On a developer's machine a test that needs Valkey, Chromium, node, npm or curl is skipped where
there is none. With CI set in the environment such a skip is a failure, also of a whole file; only
what OPTIONAL names may be missing.

Several workers may share the work, a file each: what waits longest comes first, so that none is
left alone with it at the end. They also share the machine, so no example has a deadline, nor has
making it.
"""

import os
import re
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

OPTIONAL = re.compile(
    "(picows|socketify|Go) is not installed|root may write anywhere|may not open so many files"
    "|the kernel does not allow io_uring"
)
WAITING = ("faults", "e2e")
"""Folders whose tests mostly wait: for nodes, browsers and timeouts."""

settings.register_profile("danmaku", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("danmaku")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in WAITING)


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
