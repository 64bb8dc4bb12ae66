"""What the doctor says of the platform: Python, kernel, modules, io_uring, the clock."""

import errno
from itertools import count

import pytest

from chat.ops.findings import Level
from tests.chat.ops.machines import PROC, finding, machine, names, with_files


class TestPlatform:
    @pytest.mark.parametrize(
        ("version", "level"), [((3, 10, 9), "problem"), ((3, 11, 0), "ok"), ((3, 14, 0), "ok")]
    )
    def test_python(self, version: tuple[int, ...], level: Level) -> None:
        assert finding("python", machine(python=version)).level == level

    @pytest.mark.parametrize(
        ("system", "kernel", "level"),
        [
            ("Linux", "6.1.0-18-amd64", "ok"),
            ("Linux", "3.10.0-1160.el7", "ok"),
            ("Linux", "3.9.11", "problem"),
            ("Darwin", "23.1.0", "problem"),
        ],
    )
    def test_kernel(self, system: str, kernel: str, level: Level) -> None:
        assert finding("kernel", machine(system=system, kernel=kernel)).level == level

    @pytest.mark.parametrize(
        ("missing", "name", "level"),
        [
            ("uvloop", "uvloop", "problem"),
            ("hiredis", "hiredis", "note"),
            ("websockets.speedups:apply_mask", "websockets.speedups", "note"),
        ],
    )
    def test_a_missing_module(self, missing: str, name: str, level: Level) -> None:
        found = finding(name, machine(has=lambda what: what != missing))
        assert (found.level, found.detail) == (level, "missing")
        assert found.advice.endswith(f"pip install --force-reinstall {name.partition('.')[0]}")


class TestFanOut:
    def test_the_ring_is_used_where_it_is(self) -> None:
        assert finding("fan-out", machine()).detail == "by io_uring"

    def test_without_the_ring_it_says_what_to_install(self) -> None:
        found = finding("fan-out", machine(has=lambda what: what != "shard.ring:Ring"))
        assert found.level == "note"
        assert "apt install gcc python3-dev" in found.advice

    @pytest.mark.parametrize(("value", "level"), [("0\n", "ok"), ("2\n", "note"), (None, "ok")])
    def test_a_kernel_that_refuses_is_told(self, value: str | None, level: Level) -> None:
        files = PROC | {"/proc/sys/kernel/io_uring_disabled": value}
        assert finding("fan-out", machine(read=files.get)).level == level

    def test_a_seccomp_profile_that_refuses_is_named(self) -> None:
        def refuse() -> OSError:
            return OSError(errno.EPERM, "Operation not permitted")

        docker = {"/proc/self/status": "Name:\tpython\nSeccomp:\t2\nSeccomp_filters:\t1\n"}
        found = finding("fan-out", with_files(docker, ring=refuse))
        assert (found.level, found.detail) == (
            *("note", "by os.write: a seccomp profile refuses io_uring"),
        )
        assert "io_uring_setup" in found.advice
        assert "Operation not permitted" in finding("fan-out", machine(ring=refuse)).detail

    def test_an_old_kernel_that_has_none_is_told(self) -> None:
        found = finding("fan-out", machine(ring=lambda: OSError(errno.ENOSYS, "not implemented")))
        assert (found.level, found.detail) == (
            *("note", "by os.write: the kernel refuses io_uring: not implemented"),
        )


class TestClock:
    SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

    def test_one_that_is_well_says_how_it_is_read(self) -> None:
        assert finding("clock").detail == "synchronised, read from tsc"
        assert finding("clock", with_files({self.SOURCE: None})).detail == "synchronised"

    def test_one_that_is_not_synchronised(self) -> None:
        found = finding("clock", machine(synchronised=lambda: False))
        assert (found.level, found.detail) == ("note", "not synchronised")

    def test_where_nobody_may_ask_nothing_is_said(self) -> None:
        assert "clock" not in names(machine(synchronised=lambda: None))

    @pytest.mark.parametrize(("second", "level"), [(100.0, "ok"), (100.04, "ok"), (99.0, "note")])
    def test_one_that_jumps_while_it_is_looked_at(self, second: float, level: Level) -> None:
        found = finding("clock", machine(clock_offset=iter([100.0, second]).__next__))
        assert found.level == level
        assert ("jumped by -1.00 s" in found.detail) is (level == "note")

    def test_one_that_only_goes_on_does_not_jump(self) -> None:
        ticks = count(1.8e9, 0.001)
        assert finding("clock", machine(clock_offset=lambda: next(ticks))).level == "ok"

    @pytest.mark.parametrize("source", ["hpet", "acpi_pm"])
    def test_one_that_is_slow_to_read(self, source: str) -> None:
        found = finding("clock", with_files({self.SOURCE: f"{source}\n"}))
        assert (found.level, found.detail) == ("note", f"read from {source}")
