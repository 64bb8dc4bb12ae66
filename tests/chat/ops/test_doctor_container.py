"""What the doctor says of limits of containers and services, on made-up trees of /proc and /sys."""

import pytest

from chat.ops.findings import Level
from tests.chat.ops.machines import finding, machine, names, with_files, with_proc

V1 = "4:memory:/docker/4af\n3:cpu,cpuacct:/docker/4af\n2:pids:/docker/4af\n0::/docker/4af\n"
GB = 1_000_000_000


def version_1(**limits: str) -> dict[str, str | None]:
    """The files of a container under cgroups of version 1: its own are at the top."""
    controllers = {"memory": "memory", "cpu": "cpu,cpuacct", "pids": "pids"}
    top = "/sys/fs/cgroup"
    files: dict[str, str | None] = {"/proc/self/cgroup": V1}
    for name, text in limits.items():
        controller, _, file = name.partition("__")
        path = f"{top}/{controllers[controller]}/{file.replace('__', '.')}"
        files[path] = f"{text}\n"
    return files


class TestCores:
    def test_what_there_is_for_so_many_shards(self) -> None:
        assert finding("cores").detail == "4 cores for 4 shards"
        assert finding("cores", machine(cores=1)).detail == "1 core for 1 shard"

    def test_more_shards_than_cores_are_late_for_each_other(self) -> None:
        found = finding("cores", server={"shards": 5})
        assert (found.level, found.detail) == ("note", "4 cores for 5 shards")

    @pytest.mark.parametrize(("quota", "level"), [("400000", "ok"), ("50000", "note")])
    def test_a_quota_is_named(self, quota: str, level: Level) -> None:
        on = with_files({"/sys/fs/cgroup/cpu.max": f"{quota} 100000\n"}, cores=1)
        found = finding("cores", on)
        assert found.level == level
        assert found.detail.endswith(f"by a quota of {int(quota) / 100_000:.3g}")

    def test_so_is_one_of_version_1(self) -> None:
        files = version_1(cpu__cpu__cfs_quota_us="150000", cpu__cpu__cfs_period_us="100000")
        assert finding("cores", with_files(files, cores=1)).detail.endswith("by a quota of 1.5")

    @pytest.mark.parametrize(("throttled", "level"), [("9", "ok"), ("200", "note")])
    def test_one_that_is_used_up_again_and_again(self, throttled: str, level: Level) -> None:
        stat = f"usage_usec 1\nnr_periods 1000\nnr_throttled {throttled}\n"
        found = finding("cores", with_files({"/sys/fs/cgroup/cpu.stat": stat}))
        assert found.level == level
        assert ("used up in 20% of all periods" in found.detail) is (level == "note")


class TestMemory:
    """Four shards at 20,000 viewers: 175 MB, 344 MB for viewers, 1.07 GB for backlogs."""

    MAX = "/sys/fs/cgroup/memory.max"

    @pytest.mark.parametrize(
        ("limit", "connections", "level"),
        [
            (2 * GB, 0, "ok"),
            (GB, 0, "note"),  # backlogs are not to be had
            (GB // 2, 0, "note"),
            (GB // 2, 20_000, "problem"),  # which somebody has asked for
        ],
    )
    def test_a_containers_against_what_is_configured(
        self, limit: int, connections: int, level: Level
    ) -> None:
        on = with_files({self.MAX: f"{limit}\n"})
        assert finding("memory", on, limits={"connections": connections}).level == level

    def test_it_says_how_many_fit(self) -> None:
        found = finding("memory", with_files({self.MAX: "500000000\n"}))
        assert "limits.connections = 18895 or less" in found.advice
        on = with_files({self.MAX: "500000000\n"})
        assert finding("memory", on, limits={"connections": 18_895}).level == "note"

    def test_it_says_how_much_is_left_for_backlogs(self) -> None:
        found = finding("memory", with_files({self.MAX: f"{GB}\n"}))
        assert "limits.backlog_total_bytes = 120250000 or less" in found.advice
        backlogs = {"backlog_total_bytes": 120_250_000}
        assert finding("memory", with_files({self.MAX: f"{GB}\n"}), limits=backlogs).level == "ok"

    def test_the_smallest_of_all_limits_counts(self) -> None:
        service = {
            "/proc/self/cgroup": "0::/a.slice/b.service\n",
            "/sys/fs/cgroup/a.slice/b.service/memory.max": f"{3 * GB}\n",
            "/sys/fs/cgroup/a.slice/b.service/memory.high": "max\n",
            "/sys/fs/cgroup/a.slice/memory.high": f"{2 * GB}\n",
        }
        assert finding("memory", with_files(service)).detail.startswith("2 GB; 80,000 idle")

    def test_version_1_has_a_number_for_no_limit(self) -> None:
        none = version_1(memory__memory__limit_in_bytes="9223372036854771712")
        assert finding("memory", with_files(none)).detail.startswith("10 GB; ")
        some = version_1(memory__memory__limit_in_bytes=str(2 * GB))
        assert finding("memory", with_files(some)).detail.startswith("2 GB; ")

    def test_nothing_is_said_where_nothing_is_known(self) -> None:
        assert "memory" not in names(with_proc(meminfo=None))

    def test_the_embedded_engine_has_no_more_than_the_container(self) -> None:
        found = finding("stream trimming", with_files({self.MAX: f"{GB}\n"}))
        assert (found.level, "the 1 GB there are" in found.advice) == ("note", True)


class TestSwap:
    @pytest.mark.parametrize(
        ("lines", "level"),
        [("/swap file 2097148 0 -2", "ok"), ("/swap file 2097148 512000 -2", "note")],
    )
    def test_only_what_is_in_use_is_a_note(self, lines: str, level: Level) -> None:
        on = with_proc(swaps=f"Filename Type Size Used Priority\n{lines}\n")
        assert finding("swap", on).level == level

    def test_without_any_nothing_is_said(self) -> None:
        assert "swap" not in names(with_proc(swaps="Filename Type Size Used Priority\n"))


class TestProcesses:
    @pytest.mark.parametrize(("most", "level"), [("36", "ok"), ("35", "problem")])
    def test_a_shard_that_could_not_be_started(self, most: str, level: Level) -> None:
        on = with_files({"/sys/fs/cgroup/pids.max": f"{most}\n"})
        assert finding("pids.max", on).level == level
        assert finding("pids.max", with_files(version_1(pids__pids__max=most))).level == level

    def test_no_limit_is_not_told(self) -> None:
        assert "pids.max" not in names(with_files({"/sys/fs/cgroup/pids.max": "max\n"}))


class TestFirstProcess:
    @pytest.mark.parametrize(
        ("name", "level"), [("systemd", "ok"), ("tini", "ok"), ("danmaku", "ok"), ("sh", "note")]
    )
    def test_a_shell_passes_no_signal_on(self, name: str, level: Level) -> None:
        found = finding("process 1", with_proc(comm=f"{name}\n"))
        assert found.level == level
        assert name in found.detail
