"""`python -m tests.dist FOLDER`: what `make dist` has put there, used as a stranger would.

Rules. The wheels hold every file of the packages as it is in the repository, and no other. For each
Python from 3.11 on that is found on PATH or among pyenv's: a clean environment outside the
repository, danmaku from the source distribution, built by that Python; a node starts, tells its
version, serves the page, a WebSocket joins and hears what is published, SIGTERM ends it with 0. So
it is with both wheels on the Python that runs this. Without a compiler it is built all the same.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from websockets.sync.client import connect

from bench.local import Node
from chat import __version__

ROOT: Final = Path(__file__).parents[1]
MINORS: Final = range(11, 15)
STEP_S: Final = 300
"""The bound on one build or installation."""
HEARD_S: Final = 30
LEFT_HERE: Final = {".c", ".json", ".pyc", ".so", ".ts"}
"""Files beside those of the packages: what is built, built from or only checked with."""
NO_PACKAGES: Final = {"tests", "__pycache__"}
LIBRARY: Final = "shard/ring."
"""How the compiled part's name begins; behind it come the ABI and .so."""


class Broken(Exception):
    """What was built is not what it should be."""


def pythons() -> dict[str, str]:
    """Every Python there is that we say we run on, by its version: "3.12" and its path."""
    found: dict[str, str] = {}
    for minor in MINORS:
        name = f"python3.{minor}"
        pyenv = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        for path in filter(None, [shutil.which(name), *map(str, pyenv)]):
            # pyenv's shim is on PATH even for versions that are not chosen.
            if not subprocess.run([path, "-c", "import venv"], capture_output=True).returncode:
                found.setdefault(f"3.{minor}", path)
    return found


def run(*command: str | Path, **environ: str) -> str:
    """What a command printed. Raises Broken, with all of it, when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_S,
    )
    if done.returncode:
        raise Broken(f"{' '.join(map(str, command))}:\n{done.stdout}")
    return done.stdout


def sources() -> Iterator[tuple[str, Path]]:
    """Every file of the packages: its name in a wheel, and where it is here."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in settings["packages"]:
        folder = ROOT / settings["package-dir"].get(package, package.replace(".", "/"))
        for path in filter(Path.is_file, folder.rglob("*")):
            name = path.relative_to(folder)
            if path.suffix not in LEFT_HERE and not NO_PACKAGES.intersection(name.parts):
                yield f"{package.replace('.', '/')}/{name}", path


def check_contents(wheel: Path, compiled: bool) -> None:
    """The packages' files are in it, as they are here, and beside them at most the library."""
    with ZipFile(wheel) as archive:
        inside = {
            name: hashlib.sha256(archive.read(name)).digest()
            for name in archive.namelist()
            if ".dist-info/" not in name
        }
    library = {name for name in inside if name.startswith(LIBRARY) and name.endswith(".so")}
    here = {name: hashlib.sha256(path.read_bytes()).digest() for name, path in sources()}
    names = inside.keys() - library
    if wrong := names ^ here.keys():
        raise Broken(f"{wheel.name}: too many or missing: {', '.join(sorted(wrong))}")
    if wrong := {name for name in names if inside[name] != here[name]}:
        raise Broken(f"{wheel.name}: not as it is here: {', '.join(sorted(wrong))}")
    if len(library) != compiled:
        raise Broken(f"{wheel.name}: has {len(library)} compiled parts")


def check_installed(name: str, python: str, package: Path, folder: Path, compiled: bool) -> None:
    """Install it in an environment of its own, and use it."""
    begun = time.monotonic()
    home = folder / name
    run(python, "-m", "venv", home)
    run(home / "bin/pip", "install", "--quiet", "--no-compile", package)
    told = run(home / "bin/danmaku", "--version").strip()
    if told != f"danmaku {__version__}":
        raise Broken(f"{name}: says it is {told}")
    if run(home / "bin/danmaku", "config") != (ROOT / "config.toml").read_text():
        raise Broken(f"{name}: prints another config.toml")
    finder = "import importlib.util as u; print(u.find_spec('shard.ring') is not None)"
    if run(home / "bin/python", "-I", "-c", finder).strip() != str(compiled):
        raise Broken(f"{name}: the compiled part is {'missing' if compiled else 'there'}")
    use(name, home, folder)
    print(f"ok   {name}: {package.name}, {time.monotonic() - begun:.0f} s", flush=True)


def use(name: str, home: Path, folder: Path) -> None:
    """Start a node, look at its page, join a room, hear what is published, and end it."""
    node = Node(folder)
    node.python = str(home / "bin/python")
    node.command = ("-I", str(home / "bin/danmaku"), "serve")
    with node:
        for path, word in (("/", "<!doctype html>"), ("/client/danmaku.js", "export")):
            status, text = node.request("GET", path)
            if status != 200 or word not in text.lower():
                raise Broken(f"{name}: {path} is answered {status}")
        if node.request("GET", "/openapi.json")[1]["info"]["version"] != __version__:
            raise Broken(f"{name}: its API is another version's")
        with connect(f"{node.ws}?room=lobby") as viewer:
            heard = ""
            while '"joined"' not in heard:
                heard = str(viewer.recv(HEARD_S))
            node.request("POST", "/v1/rooms/lobby/messages", {"text": "前方高能"})
            while "msgs" not in [event["t"] for event in json.loads(heard)]:
                heard = str(viewer.recv(HEARD_S))
            if "前方高能" not in heard:
                raise Broken(f"{name}: a viewer heard {heard}")
    if status := node.stop():
        raise Broken(f"{name}: SIGTERM ended it with {status}:\n{node.said()}")


def only(folder: Path, pattern: str) -> Path:
    """The one file of this pattern."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise Broken(f"{len(found)} files are {folder / pattern}: run `make dist`")
    return found[0]


def check(built: Path, folder: Path) -> None:
    source = only(built, f"danmaku-{__version__}.tar.gz")
    here = f"{sys.version_info.major}{sys.version_info.minor}"
    own, anys = only(built, f"*-cp{here}-*.whl"), only(built, "*-py3-none-any.whl")
    check_contents(own, True)
    check_contents(anys, False)
    options = ("wheel", "--quiet", "--no-deps", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", *options, source, CC="/bin/false")
    plain = only(folder, "*.whl")
    check_contents(plain, False)
    print("ok   the wheels hold what they should, without a compiler, too", flush=True)
    found = pythons()
    check_installed("for-this", sys.executable, own, folder, True)
    check_installed("for-any", sys.executable, anys, folder, False)
    for version, python in found.items():
        check_installed(f"python{version}", python, source, folder, True)
    missing = [f"3.{minor}" for minor in MINORS if f"3.{minor}" not in found]
    print(f"not here: {', '.join(missing) or 'none'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="where make dist has put it: dist")
    built = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory(prefix="danmaku-dist-") as folder:
        os.chdir(folder)  # the repository's own files are not to be found from here
        try:
            check(built, Path(folder))
        except (Broken, subprocess.TimeoutExpired) as why:
            sys.exit(f"not ok: {why}")


if __name__ == "__main__":
    main()
