"""`python -m locustfiles.run SCENARIO`: start a node, put a scenario on it, end both.

Rules. Locust's exit code is ours: 1 on any failure, or when what the scenario is about never
happened. With --host and --api a node that runs already is used instead. What is not an option here
is Locust's own: `--processes 2`, `--csv out`. `all` runs every scenario, each on a node of its own,
some at once, and prints each one's output whole.

Nothing here imports Locust, because that patches the standard library.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.local import Node

HERE = Path(__file__).parent
SCENARIOS = (
    "flash_crowd",
    "bulk_broadcast",
    "churn",
    "slow_readers",
    "busy_rooms",
    "moderation_storm",
    "mixed_evening",
)
ALL = "all"
SETTINGS: dict[str, dict[str, object]] = {
    "slow_readers": {
        "limits_stall_s": 5,
        "limits_backlog_soft_bytes": 131_072,
        "rooms_history": 1_500,
    },
}
"""What a scenario's own node is set to, so that all it is about happens within seconds."""
LAST_LOOK_S = 90
"""Beside its time, what a run may take to start, to settle and to end."""


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and those that are Locust's."""
    parser = argparse.ArgumentParser(
        prog="python -m locustfiles.run",
        description="Put load on a node. Options not listed here are Locust's.",
    )
    parser.add_argument("scenario", choices=(*SCENARIOS, ALL))
    parser.add_argument("--users", type=int, default=100, help="viewers (default 100)")
    parser.add_argument("--seconds", type=int, default=20, help="how long (default 20)")
    parser.add_argument("--rate", type=float, help="users started a second (default users / 2)")
    parser.add_argument("--host", help="a node that runs already: ws://127.0.0.1:8000")
    parser.add_argument("--api", help="and its HTTP API: http://127.0.0.1:8001")
    parser.add_argument("--web", action="store_true", help="start it from Locust's page instead")
    parser.add_argument("--at-once", type=int, default=2, help="with all: how many (default 2)")
    return parser.parse_known_args(arguments)


def command(options: argparse.Namespace, host: str, api: str, more: Sequence[str]) -> list[str]:
    """How Locust is called."""
    found = [sys.executable, "-m", "locust", "-f", str(HERE / f"{options.scenario}.py")]
    found += ["--host", host, "--api", api, "--loglevel", "WARNING"]
    found += ["-u", str(options.users), "-r", str(options.rate or max(1.0, options.users / 2))]
    if options.web:
        found += ["--web-host", "127.0.0.1"]
    else:
        found += ["--headless", "--only-summary", "-t", f"{options.seconds}s"]
    return [*found, *more]


def run_one(options: argparse.Namespace, more: Sequence[str]) -> int:
    """One scenario; Locust's exit code."""
    with ExitStack() as stack:
        host, api, environment = options.host, options.api, dict(os.environ)
        if host is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="danmaku-load-")))
            key = environment["DANMAKU_API_KEY"] = secrets.token_hex(16)
            settings: dict[str, Any] = SETTINGS.get(options.scenario, {})
            node = stack.enter_context(Node(folder, api_key=key, **settings))
            host, api = f"ws://127.0.0.1:{node.port}", node.page
        if options.web:
            print(f"{options.scenario}: open http://127.0.0.1:8089, end with Ctrl-C", flush=True)
        else:
            print(
                f"{options.scenario}: {options.users} users, {options.seconds} s, {host}",
                flush=True,
            )
        called = command(options, host, api or "http://127.0.0.1:8001", more)
        code = subprocess.run(called, check=False, cwd=HERE.parent, env=environment).returncode
    print(f"{options.scenario}: {'passed' if code == 0 else f'FAILED ({code})'}", flush=True)
    return code


def run_apart(scenario: str, options: argparse.Namespace, more: Sequence[str]) -> int:
    """One of all, in a process of its own; its output is printed when it is whole."""
    called = [sys.executable, "-m", "locustfiles.run", scenario, "--users", str(options.users)]
    called += ["--seconds", str(options.seconds), *more]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(called, stdout=log, stderr=subprocess.STDOUT, cwd=HERE.parent)
        try:
            code = process.wait(options.seconds + LAST_LOOK_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            code = process.wait() or 1
        log.seek(0)
        text = log.read().decode(errors="replace")
    print(f"──── {scenario} ────\n{text}", end="", flush=True)
    return code


def run_all(options: argparse.Namespace, more: Sequence[str]) -> int:
    """Every scenario; 1 when any failed."""
    began = time.monotonic()
    with ThreadPoolExecutor(options.at_once) as pool:
        codes = list(pool.map(lambda name: run_apart(name, options, more), SCENARIOS))
    failed = [name for name, code in zip(SCENARIOS, codes, strict=True) if code]
    print(f"{len(SCENARIOS)} scenarios in {time.monotonic() - began:.0f} s;", end=" ")
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    options, more = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the node would outlive us
    return run_all(options, more) if options.scenario == ALL else run_one(options, more)


if __name__ == "__main__":
    sys.exit(main())
