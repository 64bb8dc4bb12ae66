"""deploy/alerts.yml: Prometheus takes it, each alert fires when it should, and says what to do."""

import re
from pathlib import Path

from tests.deploy.queries import ALERTS, ROOT, promtool, rules

CASES = Path(__file__).with_name("alerts_test.yml")


class TestPrometheus:
    def test_loads_them(self) -> None:
        done = promtool("check", "rules", str(ALERTS))
        assert done.returncode == 0, done.stdout
        assert f"{len(rules())} rules found" in done.stdout

    def test_fires_each_when_it_should_and_none_for_a_node_that_is_well(self) -> None:
        done = promtool("test", "rules", str(CASES))
        assert done.returncode == 0, done.stdout

    def test_a_threshold_that_is_moved_fails_that(self, tmp_path: Path) -> None:
        moved = re.sub(r"> 0\.25$", "> 250", ALERTS.read_text(), flags=re.MULTILINE)
        (tmp_path / "alerts.yml").write_text(moved)
        cases = CASES.read_text().replace("../../deploy/alerts.yml", "alerts.yml")
        (tmp_path / "cases.yml").write_text(cases)
        done = promtool("test", "rules", str(tmp_path / "cases.yml"))
        assert done.returncode != 0
        assert "DanmakuBusSlow" in done.stdout


class TestCases:
    def test_there_are_some_for_each_alert(self) -> None:
        text = CASES.read_text()
        for name in rules():
            assert f"- alertname: {name}\n" in text, f"{name} never fires in a test"
            assert f"alertname: {name}, " in text, f"{name} is never quiet in a test"


class TestWhatTheySay:
    def test_each_says_what_is_what_to_do_and_where_more_is(self) -> None:
        assert len(rules()) > 15
        for name, rule in rules().items():
            rest = rule["rest"]
            assert re.search(r"severity: (critical|warning)\}", rest), name
            assert re.search(r' summary: ".{20,}\."\n', rest), name
            assert re.search(r" description: >-\n +\S.{30,}", rest), name
            assert f" runbook: docs/operations.md#{name.lower()}\n" in rest, name

    def test_none_is_overlooked_here(self) -> None:
        assert len(rules()) == ALERTS.read_text().count("- alert: ")

    def test_each_stands_in_operations_once_and_nothing_else_does(self) -> None:
        page = (ROOT / "docs/operations.md").read_text()
        assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == list(rules())
        for name in rules():
            said = page.partition(f"### {name}\n")[2].partition("\n#")[0]
            assert len(said) > 100, name
