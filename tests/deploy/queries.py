"""Every query of the dashboard and the alerts, and what it names."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
ALERTS: Final = DEPLOY / "alerts.yml"
DASHBOARD: Final = DEPLOY / "grafana/danmaku.json"

RULE: Final = re.compile(
    r"- alert: (?P<name>\w+)\n +expr: \|-\n(?P<expr>(?: {10}\S.*\n)+)(?P<rest>(?: {8}.*\n)+)"
)
WORD: Final = re.compile(r"\bdanmaku_\w+")
SELECTOR: Final = re.compile(r"\b(danmaku_\w+)(?:\{([^}]*)\})?")
MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
BY: Final = re.compile(r"\b(?:by|without) ?\(([^)]*)\)")


def rules() -> dict[str, re.Match[str]]:
    """The alerts by name; `expr`, and `rest` with all that follows."""
    return {found["name"]: found for found in RULE.finditer(ALERTS.read_text())}


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def expressions() -> dict[str, str]:
    """All queries by where they are, as Prometheus is asked them."""
    found = {f"alert {name}": " ".join(rule["expr"].split()) for name, rule in rules().items()}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            asked = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            found[f"panel {panel['title']}, {target['refId']}"] = asked
    return found


def promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    """Ask Prometheus' own checker; both outputs are in `stdout`."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool: apt install prometheus")
    return subprocess.run(
        [program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
