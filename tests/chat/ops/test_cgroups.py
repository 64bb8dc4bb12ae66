"""Limits of the groups this process is in, read from trees that are made up."""

from hypothesis import given
from hypothesis import strategies as st

from chat.ops.cgroups import CGROUPS, OWN, folders, least, read


def test_ours_and_all_above_it_of_both_versions() -> None:
    files = {OWN: "4:memory:/docker/4af\n1:name=systemd:/docker/4af\n0::/a.slice\n"}
    assert list(folders(files.get, "memory")) == [
        *((1, f"{CGROUPS}/memory/docker/4af"), (1, f"{CGROUPS}/memory/docker")),
        *((1, f"{CGROUPS}/memory"), (2, f"{CGROUPS}/a.slice"), (2, CGROUPS)),
    ]


def test_the_smallest_limit_counts_and_no_limit_is_none() -> None:
    files = {OWN: "0::/a/b\n", f"{CGROUPS}/a/b/m": "max\n", f"{CGROUPS}/a/m": "7\n"}
    assert least(files.get, "memory", ("m",), "m") == 7
    assert least(files.get, "memory", ("other",), "m") is None
    assert least(lambda path: None, "memory", ("m",), "m") is None


@given(st.text(), st.text())
def test_whatever_the_files_hold_it_is_a_number_or_none(own: str, text: str) -> None:
    found = least(lambda path: own if path == OWN else text, "memory", ("m",), "m")
    assert found is None or 0 <= found < 1 << 60


def test_a_file_that_cannot_be_read_is_none() -> None:
    assert read("/proc/no/such/file") is None
    assert (read("/proc/sys/kernel/ostype") or "").strip() == "Linux"
