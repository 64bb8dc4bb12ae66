"""bench/peers/centrifuge.py: what cannot be built is unavailable, with the reason."""

from pathlib import Path

import pytest

from bench.harness import Unavailable
from bench.peers import centrifuge


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(centrifuge, "PROGRAM", tmp_path / "not-built")
    monkeypatch.setattr(centrifuge, "UNPACKED", tmp_path)
    monkeypatch.setattr(centrifuge, "GO", tmp_path / "go")
    monkeypatch.setenv("PATH", str(tmp_path))


def go(folder: Path, script: str) -> None:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_without_go_it_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="no Go"):
        centrifuge.build()


def test_without_the_engines_sources_it_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go(tmp_path, "exit 0")
    monkeypatch.setattr(centrifuge, "ENGINE", Path("no/such/engine"))
    with pytest.raises(Unavailable, match="no Centrifuge's sources"):
        centrifuge.build()


def test_what_the_compiler_says_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / centrifuge.ENGINE).mkdir(parents=True)
    go(tmp_path, "echo undefined: centrifuge >&2; exit 2")
    with pytest.raises(Unavailable, match=r"(?s)centrifuge_server.go.*undefined: centrifuge"):
        centrifuge.build()
