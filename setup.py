"""The compiled part of the package; all else about it is in pyproject.toml.

Rules. `shard.ring` is optional: where there is no compiler or no Python.h it is left out, and the
loop in shard/writing.py does what it would. BUILD_EXTENSION in the environment overrides that: "no"
builds a wheel that any Python takes, "yes" refuses to build one that lacks it.
"""

import os

from setuptools import Extension, setup

WANTED = os.environ.get("BUILD_EXTENSION", "")
RING = Extension("shard.ring", sources=["shard/ring.c"], optional=WANTED != "yes")

setup(ext_modules=[] if WANTED == "no" else [RING])
