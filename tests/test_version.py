"""One release, one version: whatever says which this is says the same."""

import json
import re
from importlib import metadata
from pathlib import Path

import yaml
from typer.testing import CliRunner

from chat import __version__
from chat.api.metrics import API_FIELDS, Metrics
from chat.api.openapi import document
from chat.cli import app
from chat.config.sections import Config
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard

ROOT = Path(__file__).parents[1]
CLIENT = ROOT / "clients/js"


def test_it_is_a_semantic_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_what_is_installed_says_it() -> None:
    assert metadata.version("danmaku") == __version__, "install it anew: make test does"


def test_the_command_says_it() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"danmaku {__version__}\n"


def test_the_apis_document_says_it() -> None:
    assert document(Config())["info"]["version"] == __version__


def test_the_metrics_say_it() -> None:
    shown = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1)).render().decode()
    assert re.findall(r'^danmaku_build_info\{.*version="(.*?)".*\} 1\.0$', shown, re.MULTILINE) == [
        __version__
    ]


def test_the_javascript_package_says_it() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    lock = json.loads((CLIENT / "package-lock.json").read_text())
    said = (package["version"], lock["version"], lock["packages"][""]["version"])
    assert set(said) == {__version__}


def test_the_image_that_kubernetes_runs_is_of_it() -> None:
    kustomization = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yaml").read_text())
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]


def test_the_changelog_tells_of_releases_up_to_it() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", one) for one in headings[1:])
    assert headings[1:] == sorted(headings[1:], key=parts, reverse=True)
    assert all(parts(one) <= parts(__version__) for one in headings[1:])


def parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
