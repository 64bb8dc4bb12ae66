"""In CI nothing that must be there is missing without a word.

On a developer's machine a test that needs Valkey, Chromium, node or npm is skipped where there is
none. With CI set in the environment such a skip is a failure; only what OPTIONAL names may be
missing.
"""

import os
import re
from collections.abc import Generator
from typing import Any

import pytest

OPTIONAL = re.compile(
    "(picows|socketify) is not installed|root may write anywhere|may not open so many files"
    "|the kernel does not allow io_uring"
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        if not OPTIONAL.search(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI does not allow: {reason}"
    return report
