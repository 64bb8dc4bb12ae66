"""deploy/grafana: one file that loads as it is, wherever Prometheus is."""

import json
import re
from pathlib import Path
from typing import Any

from tests.deploy.queries import BY, dashboard, expressions, promtool

PANELS: list[dict[str, Any]] = dashboard()["panels"]
ROWS = [panel["title"] for panel in PANELS if panel["type"] == "row"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    found = [expr for where, expr in expressions().items() if where.startswith("panel ")]
    assert len(found) > 60
    rules = [{"record": f"panel:{i}", "expr": expr} for i, expr in enumerate(found)]
    file = tmp_path / "panels.yml"  # which JSON is, too
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout


def test_it_has_a_name_of_its_own_and_asks_for_nothing_when_loaded() -> None:
    found = dashboard()
    assert (found["uid"], found["title"]) == ("danmaku", "Danmaku")
    assert not found.keys() & {"__inputs", "__requires", "id"}
    names = [variable["name"] for variable in found["templating"]["list"]]
    assert names == ["datasource", "instance"]


def test_every_query_goes_to_the_data_source_that_was_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in GRAPHS:
        assert panel["targets"], panel["title"]
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == chosen, panel["title"]


def test_every_query_is_of_the_nodes_that_were_chosen() -> None:
    for panel in GRAPHS:
        for target in panel["targets"]:
            chosen = target["expr"].count('instance=~"$instance"')
            assert chosen == len(re.findall(r"\bdanmaku_\w+", target["expr"])), panel["title"]


def test_a_legend_names_labels_that_are_left() -> None:
    for panel in GRAPHS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            if "sum" in target["expr"] or "max" in target["expr"]:
                kept = {name.strip() for by in BY.findall(target["expr"]) for name in by.split(",")}
                assert named <= kept, panel["title"]
            else:
                assert named <= {"instance", "shard"}, panel["title"]


def test_panels_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_it_has_a_row_for_each_question() -> None:
    assert [
        *("At a glance", "Audience", "Traffic", "Not delivered, and why", "Latency", "Health"),
        *("Redis", "Moderation", "API and webhooks"),
    ] == ROWS
