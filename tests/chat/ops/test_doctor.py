"""The whole diagnosis; each verdict has its test in a file of its topic."""

import errno

from chat.config.sections import Config
from chat.ops.doctor import CHECKS, diagnose
from chat.ops.findings import exit_code
from chat.ops.machine import Machine
from tests.chat.ops.machines import HEALTHY, PROC, configured, machine, names


class TestWholeDiagnosis:
    def test_a_healthy_machine_has_nothing_to_be_told(self) -> None:
        findings = diagnose(configured(), HEALTHY)
        assert {one.level for one in findings} == {"ok"}
        assert {one.advice for one in findings} == {""}
        assert exit_code(findings) == 0

    def test_whatever_is_not_ok_comes_with_advice(self) -> None:
        sick = Machine(
            python=(3, 10, 0),
            system="Linux",
            kernel="3.10.0",
            cores=1,
            files=(1024, 1024),
            read=dict.fromkeys(PROC, "0 0 0").get,
            has=lambda what: False,
            bus=lambda url, timeout_s: "connection refused",
            bind=lambda host, port: OSError(errno.EACCES, "Permission denied"),
            writable=lambda directory: False,
            ring=lambda: OSError(errno.EPERM, "Operation not permitted"),
            synchronised=lambda: False,
            clock_offset=iter([0.0, 5.0]).__next__,
        )
        findings = diagnose(Config(), sick)
        assert all(one.advice for one in findings if one.level != "ok")
        assert {one.level for one in findings} == {"ok", "note", "problem"}
        assert exit_code(findings) == 1

    def test_facts_that_cannot_be_read_are_left_out(self) -> None:
        blind = machine(read=lambda path: None)
        assert "somaxconn" in names()
        assert not {"somaxconn", "fs.file-max", "ip_local_port_range"} & set(names(blind))

    def test_it_runs_on_this_machine_too(self) -> None:
        findings = diagnose(Config())
        assert len(findings) >= len(CHECKS)
