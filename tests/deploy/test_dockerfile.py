"""The Dockerfile, parsed as Docker parses it; what it says is run here as far as it can be."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import dockerfile

from bench.local import Node, free_port

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy/Dockerfile"
STEPS = dockerfile.parse_file(str(FILE))
LAST = STEPS[max(i for i, step in enumerate(STEPS) if step.cmd.upper() == "FROM") :]


def values(name: str) -> list[tuple[str, ...]]:
    """The arguments of an instruction, each time it stands in the last stage."""
    return [step.value for step in LAST if step.cmd.upper() == name]


def test_every_instruction_is_one_of_dockers() -> None:
    build = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "ARG"}
    run = {"USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {step.cmd.upper() for step in STEPS} == build | run


def test_all_that_is_copied_is_there_and_sent_to_the_builder() -> None:
    sent = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    for step in STEPS:
        if step.cmd.upper() == "COPY" and not step.flags:
            for source in step.value[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in sent, source


def test_all_that_is_installed_is_copied() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = settings["tool"]["setuptools"]["packages"]
    where = settings["tool"]["setuptools"]["package-dir"]
    copied = {one for step in STEPS if step.cmd.upper() == "COPY" for one in step.value[:-1]}
    for package in packages:
        assert where.get(package, package).partition(".")[0].partition("/")[0] in copied, package
    assert {settings["project"]["readme"], *settings["project"]["license-files"]} <= copied


def installed(**environ: str) -> list[str]:
    """What the step that installs gives pip, run by a shell as Docker runs it."""
    (step,) = [
        step for step in STEPS if step.cmd.upper() == "RUN" and "pip install" in step.value[0]
    ]
    command = step.value[0].replace("/opt/danmaku/bin/", "called ")
    done = subprocess.run(
        ["sh", "-euc", f'called() {{ printf "%s|" "$@"; echo; }}\n{command}'],
        env=environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()[0].split("|")[:-1]


def test_an_extra_is_installed_where_it_is_asked_for() -> None:
    (argument,) = [step.value for step in STEPS if step.cmd.upper() == "ARG"]
    assert argument == ('EXTRAS=""',), "none by default"
    assert installed(EXTRAS="") == ["pip", "install", "."]
    assert installed(EXTRAS="otel") == ["pip", "install", ".[otel]"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "otel" in settings["project"]["optional-dependencies"]
    for page in ("docs/operations.md", "docs/deploying.md", "deploy/Dockerfile"):
        assert "--build-arg EXTRAS=otel" in (ROOT / page).read_text()


def test_it_runs_as_a_user_with_a_number_and_no_rights() -> None:
    ((user,),) = values("USER")
    assert all(part.isdigit() and int(part) > 0 for part in user.split(":"))


def test_its_command_is_the_packages() -> None:
    ((entry,),) = values("ENTRYPOINT")
    assert entry in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (command,) = values("CMD")
    assert command[:2] == ("serve", "--config")
    assert (command[2],) == tuple(copy[-1] for copy in values("COPY") if copy[0] == "config.toml")


def test_its_health_is_the_nodes(tmp_path: Path) -> None:
    (check,) = [step for step in LAST if step.cmd.upper() == "HEALTHCHECK"]
    program = check.original[check.original.index("[") :]
    python, *arguments = json.loads(program)
    assert python == "python"

    def healthy(port: int) -> bool:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={"DANMAKU_SERVER_PORT": str(port)},
            capture_output=True,
            timeout=60,
        )
        return done.returncode == 0

    with Node(tmp_path) as node:
        assert healthy(node.port)
    assert not healthy(free_port())
