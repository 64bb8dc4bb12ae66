"""`python -m tests.audit`: pip-audit, about what is installed with the package and for its tests.

Rules. A known weakness of what the package brings is a failure. One of what only tests or
benchmarks use is told. Where pip-audit cannot ask its service, or the index it asks does not know,
that is told, and is no failure: nothing was found because nobody was asked.
"""

import json
import subprocess
import sys
from typing import Any

from packaging.utils import canonicalize_name

from tests.dependencies import closure

TIMEOUT_S = 300


def asked() -> list[dict[str, Any]] | str:
    """What pip-audit found out about each package; or why it could not."""
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {TIMEOUT_S} s"
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.returncode}"
    return found


def judge(found: list[dict[str, Any]] | str, brought: set[str]) -> tuple[list[str], int]:
    """What to say of what was found, and the exit status: 1 where what is brought is weak."""
    if isinstance(found, str):
        return [f"not audited: {found}"], 0
    unknown = [one["name"] for one in found if "skip_reason" in one]
    if len(unknown) >= len(found) - 1:  # itself is left out
        return [f"not audited: the index told nothing of {len(unknown)} packages"], 0
    said, status = [], 0
    for one in found:
        ours = canonicalize_name(one["name"]) in brought
        for weakness in one.get("vulns", ()):
            fixed = ", ".join(weakness["fix_versions"]) or "nothing yet"
            whose = "" if ours else " (tests only)"
            mended = f"mended in {fixed}"
            said.append(f"{one['name']} {one['version']}{whose}: {weakness['id']}, {mended}")
            status = status or int(ours)
    said += [f"not audited: {name}" for name in unknown]
    return [*said, f"{len(found) - len(unknown)} packages audited"], status


if __name__ == "__main__":
    lines, status = judge(asked(), set(closure()))
    print("\n".join(lines))
    sys.exit(status)
