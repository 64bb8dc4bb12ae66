"""`python -m locustfiles.run SCENARIO`: start a node, put a scenario on it, end both.

Locust's exit code is ours: 1 on any failure, gap or duplicate. With --host a node that runs
already is used instead.
"""

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.local import Node

HERE = Path(__file__).parent
NOT_SCENARIOS = {"__init__", "client", "order", "run"}


def scenarios() -> list[str]:
    """The names of the files that are scenarios."""
    return sorted({path.stem for path in HERE.glob("*.py")} - NOT_SCENARIOS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m locustfiles.run", description="Put load on.")
    parser.add_argument("scenario", choices=scenarios())
    parser.add_argument("--users", type=int, default=100, help="viewers (default 100)")
    parser.add_argument("--seconds", type=int, default=20, help="how long (default 20)")
    parser.add_argument("--host", help="a node that runs already: ws://127.0.0.1:8000")
    options = parser.parse_args()
    with ExitStack() as stack:
        host = options.host
        if host is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="danmaku-load-")))
            node = stack.enter_context(Node(folder))
            host = f"ws://127.0.0.1:{node.port}"
            print(f"{options.scenario}: {options.users} viewers for {options.seconds} s on {host}")
        command = [sys.executable, "-m", "locust", "-f", str(HERE / f"{options.scenario}.py")]
        command += ["--headless", "--host", host, "--only-summary", "--loglevel", "WARNING"]
        command += ["-u", str(options.users), "-r", "100", "-t", f"{options.seconds}s"]
        return subprocess.run(command, check=False, cwd=HERE.parent).returncode


if __name__ == "__main__":
    sys.exit(main())
