"""Cores under quotas, of cgroups as containers and services see them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.ops.cgroups import CGROUPS, OWN
from chat.ops.cores import usable_cores

V2, V1 = "0::/\n", "4:cpu,cpuacct:/docker/4af\n1:name=systemd:/docker/4af\n0::/docker/4af\n"


def cores(own: str, files: dict[str, str], allowed: int = 8) -> int:
    known = {OWN: own} | {f"{CGROUPS}/{path}": text for path, text in files.items()}
    return usable_cores(known.get, allowed)


class TestUsableCores:
    @pytest.mark.parametrize(
        ("quota", "expected"),
        [
            ("max 100000", 8),
            ("200000 100000", 2),
            ("250000 100000", 2),
            ("50000 100000", 1),
            ("9000000 100000", 8),
            ("1000 0", 8),
            ("nonsense", 8),
            ("", 8),
        ],
    )
    def test_a_containers_own(self, quota: str, expected: int) -> None:
        assert cores(V2, {"cpu.max": f"{quota}\n"}) == expected

    def test_the_smallest_above_us_counts(self) -> None:
        files = {
            "a.slice/b.service/cpu.max": "max 100000\n",
            "a.slice/cpu.max": "300000 100000\n",
            "cpu.max": "600000 100000\n",
        }
        assert cores("0::/a.slice/b.service\n", files) == 3

    @pytest.mark.parametrize("folder", ["", "docker/4af/"])
    def test_version_1_at_the_hosts_path_or_at_the_top(self, folder: str) -> None:
        where = f"cpu,cpuacct/{folder}cpu.cfs_"
        files = {f"{where}quota_us": "150000\n", f"{where}period_us": "50000\n"}
        assert cores(V1, files) == 3
        assert cores(V1, files | {f"{where}quota_us": "-1\n"}) == 8

    def test_another_controller_with_cpu_in_its_name_is_none(self) -> None:
        where = "cpuset/cpu.cfs_"
        files = {f"{where}quota_us": "1\n", f"{where}period_us": "1\n"}
        assert cores("3:cpuset:/\n", files) == 8

    def test_without_anything_to_read_all_are_ours(self) -> None:
        assert usable_cores(lambda path: None) == len(os.sched_getaffinity(0))

    def test_of_this_machine_there_is_one_at_least(self) -> None:
        assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))

    @given(st.text(max_size=60), st.text(max_size=30))
    def test_whatever_is_read_there_is_one_at_least(self, own: str, quota: str) -> None:
        for line in (own, f"0::/{own}", f"4:cpu:/{own}"):
            assert 1 <= usable_cores(lambda path, line=line: line if path == OWN else quota, 8) <= 8  # type: ignore[misc]
