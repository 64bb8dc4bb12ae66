"""What is wrong with the platform: Python, kernel, modules, how a fan-out is written, the clock.

Rules. As in `doctor.py`.
"""

import errno
import re
from collections.abc import Iterator
from typing import Final

from chat.config.sections import Config
from chat.ops.findings import Finding, Level
from chat.ops.machine import Machine

OLDEST_PYTHON: Final = (3, 11)
OLDEST_KERNEL: Final = (3, 10)
"""What libuv, within uvloop, supports; nothing of ours is newer (TCP_USER_TIMEOUT is of 2.6.37),
and io_uring, of 5.6, is done without."""
SECCOMP_FILTERS: Final = "2"  # /proc/PID/status, proc_pid_status(5)
CLOCK_SOURCE: Final = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
SLOW_CLOCKS: Final = frozenset({"hpet", "acpi_pm", "jiffies"})
"""That a system call has to ask, microseconds each; others are read without one."""
MOVED_S: Final = 0.05
"""That a clock which is slewed, by 500 ppm at most, cannot move while the doctor looks."""


def check_python(config: Config, machine: Machine) -> Iterator[Finding]:
    version = ".".join(map(str, machine.python))
    if machine.python[:2] < OLDEST_PYTHON:
        yield Finding("python", "problem", version, "Python 3.11 is the oldest that works")
    else:
        yield Finding("python", "ok", version)


def check_kernel(config: Config, machine: Machine) -> Iterator[Finding]:
    detail = f"{machine.system} {machine.kernel}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", machine.kernel)[:2])
    if machine.system != "Linux":
        yield Finding("kernel", "problem", detail, "the server needs epoll: run it on Linux")
    elif numbers < OLDEST_KERNEL:
        yield Finding("kernel", "problem", detail, "Linux 3.10 is the oldest that works")
    else:
        yield Finding("kernel", "ok", detail)


def check_modules(config: Config, machine: Machine) -> Iterator[Finding]:
    for name, what, level, loss in MODULES:
        if machine.has(what):
            yield Finding(name, "ok", "present")
        else:
            package = what.partition(".")[0].partition(":")[0]
            advice = f"{loss}; pip install --force-reinstall {package}"
            yield Finding(name, level, "missing", advice)


MODULES: list[tuple[str, str, Level, str]] = [
    ("uvloop", "uvloop", "problem", "the shards run on it"),
    (
        "websockets.speedups",
        "websockets.speedups:apply_mask",
        "note",
        "every message from a client is unmasked in Python instead of C",
    ),
    ("hiredis", "hiredis", "note", "every reply of the bus is parsed in Python instead of C"),
]


def check_fan_out(config: Config, machine: Machine) -> Iterator[Finding]:
    disabled = machine.numbers("/proc/sys/kernel/io_uring_disabled")
    if not machine.has("shard.ring:Ring"):
        advice = (
            "a delivery costs a tenth less through io_uring: install a C compiler and Python's "
            "headers (apt install gcc python3-dev), then install danmaku again"
        )
        yield Finding("fan-out", "note", "by os.write: shard/ring.c was not built", advice)
    elif disabled and disabled[0]:
        advice = "sysctl -w kernel.io_uring_disabled=0; a delivery then costs a tenth less"
        yield Finding("fan-out", "note", "by os.write: the kernel refuses io_uring", advice)
    elif refused := machine.ring():
        filtered = machine.field("/proc/self/status", "Seccomp") == SECCOMP_FILTERS
        if filtered and refused.errno in (errno.EPERM, errno.EACCES):
            why = "a seccomp profile refuses io_uring"
            advice = (
                "allow io_uring_setup, io_uring_enter and io_uring_register in the container's "
                "profile; a delivery then costs a tenth less"
            )
        else:
            why = f"the kernel refuses io_uring: {refused.strerror or refused}"
            advice = "a delivery costs a tenth less with Linux 5.6 or newer"
        yield Finding("fan-out", "note", f"by os.write: {why}", advice)
    else:
        yield Finding("fan-out", "ok", "by io_uring")


def check_clock(machine: Machine, moved_s: float) -> Iterator[Finding]:
    """The clock, which has moved by so much against the one that only goes on."""
    source = (machine.read(CLOCK_SOURCE) or "").strip()
    if abs(moved_s) > MOVED_S:
        advice = "have one service set it, and by slewing: chronyd without makestep, or ntpd -x"
        yield Finding("clock", "note", f"jumped by {moved_s:+.2f} s just now", advice)
    elif machine.synchronised() is False:
        advice = (
            "delays are measured, and tokens end, by it: run chronyd or systemd-timesyncd, in a "
            "container on the machine beneath"
        )
        yield Finding("clock", "note", "not synchronised", advice)
    elif source in SLOW_CLOCKS:
        advice = "a look at it is a system call; boot with clocksource=tsc, if the machine has it"
        yield Finding("clock", "note", f"read from {source}", advice)
    elif machine.synchronised():
        yield Finding("clock", "ok", f"synchronised{f', read from {source}' if source else ''}")
