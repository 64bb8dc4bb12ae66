"""The sysctl file: the kernel knows each key and as many numbers, and a reason stands above it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chat.config.sections import Config

FILE = Path(__file__).parents[2] / "deploy/sysctl/60-danmaku.conf"
BLOCKS = [block.splitlines() for block in FILE.read_text().strip().split("\n\n")]
SETTING = re.compile(r"(-?)([a-z0-9_.-]+) = ([0-9]+(?: [0-9]+)*)")
NETWORKS_OWN = ("net.core.netdev_max_backlog", "net.core.somaxconn")


def settings() -> dict[str, tuple[str, str]]:
    """Each key's value, and `-` where it may be missing."""
    found = [SETTING.fullmatch(block[-1]) for block in BLOCKS[1:]]
    assert all(found), [block[-1] for block in BLOCKS[1:]]
    return {one[2]: (one[3], one[1]) for one in found if one}


def test_a_reason_stands_above_each() -> None:
    assert all(line.startswith("#") for line in BLOCKS[0])
    for *reason, _ in BLOCKS[1:]:
        assert reason
        assert all(line.startswith("# ") for line in reason)


def test_the_kernel_knows_each_and_has_as_many_numbers() -> None:
    for key, (value, optional) in settings().items():
        path = Path("/proc/sys") / key.replace(".", "/")
        # A network namespace of its own, as containers have, may lack some.
        if path.exists():
            assert len(path.read_text().split()) == len(value.split()), key
        else:
            assert optional or key in NETWORKS_OWN, f"no kernel knows {key}"


@pytest.mark.skipif(shutil.which("sysctl") is None, reason="no sysctl: apt install procps")
def test_sysctl_reads_it() -> None:
    done = subprocess.run(
        ["sysctl", "--dry-run", f"--load={FILE}"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert {line.split(" = ")[0] for line in done.stdout.splitlines()} >= {
        key for key, (_, optional) in settings().items() if not optional
    }


def test_the_ports_of_a_node_are_not_handed_out() -> None:
    first = int(settings()["net.ipv4.ip_local_port_range"][0].split()[0])
    config = Config()
    assert max(config.server.port, config.api.port) < first


def test_the_queue_of_newcomers_is_no_shorter_than_a_nodes() -> None:
    assert int(settings()["net.core.somaxconn"][0]) >= Config().server.accept_backlog
