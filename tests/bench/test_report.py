"""bench/report.py: aims that know whether they are met, and a run as it is kept."""

import json

from bench.report import Aim, Section, document


class TestAim:
    def test_a_bound_from_above_is_met_up_to_and_including_it(self) -> None:
        assert Aim("ms", 60.0, at_most=60).met
        assert not Aim("ms", 60.1, at_most=60).met

    def test_a_bound_from_below_is_met_from_it_on(self) -> None:
        assert Aim("per second", 800.0, at_least=800).met
        assert not Aim("per second", 799.9, at_least=800).met

    def test_it_says_figure_bound_and_verdict(self) -> None:
        assert str(Aim("p99", 71.5, at_most=60)) == "p99: 71.50 (aim ≤ 60, missed)"
        assert str(Aim("joins", 35_000.0, at_least=30_000)) == (
            "joins: 35,000.00 (aim ≥ 30,000, met)"
        )


class TestDocument:
    def test_all_figures_are_in_it_and_it_is_json(self) -> None:
        aim = Aim("× floor", 1.25, at_most=1.5, peer="picows")
        section = Section("Title", [], {"ours": {"ratio": 1.25, "unseen": 7.0}}, [aim], ["note"])
        run = json.loads(json.dumps(document({"fanout": section}, {"idle": "no"}, {"room": "ah"})))
        assert run["sections"] == [
            {
                "workload": "fanout",
                "title": "Title",
                "rows": {"ours": {"ratio": 1.25, "unseen": 7.0}},
                "aims": [
                    {
                        "what": "× floor", "value": 1.25, "at_most": 1.5, "at_least": None,
                        "peer": "picows", "met": True,
                    }
                ],
                "notes": ["note"],
            }
        ]  # fmt: skip
        assert (run["skipped"], run["failed"]) == ({"idle": "no"}, {"room": "ah"})
