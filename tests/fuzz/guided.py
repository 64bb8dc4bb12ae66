"""One target under atheris: `python -m tests.fuzz.guided TARGET CORPUS FLAG…`.

A process of its own, because atheris never returns. What it measures the coverage of has to be
imported for the first time under its eyes.
"""

import sys
from pathlib import Path

import atheris

from tests.fuzz import load


def main() -> None:
    name, corpus, *flags = sys.argv[1:]
    with atheris.instrument_imports(include=["pool", "shard", "chat"]):
        target = load(name)
    for index, seed in enumerate(target.SEEDS):
        Path(corpus, f"seed-{index:03}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *flags, corpus], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
