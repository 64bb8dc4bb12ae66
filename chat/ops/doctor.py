"""What is wrong with this machine for this configuration, and what to do about it.

Lives here: the whole examination, in order. One check stands for each thing that goes wrong in
practice, in the `doctor_` file of its topic. A check takes the configuration and the machine and
returns findings; it reads nothing itself (`machine.py` does), so every verdict can be tested
without having such a machine. Whatever is not "ok" says what to do in a sentence. Must not: decide
whether a configuration is well-formed, `chat.config` has refused those before; or print, that is
`findings.py`'s.
The one danger: a finding is pasted into bug reports. No secret, and no URL with a password.
"""

from collections.abc import Callable, Iterator

from chat.config.sections import Config
from chat.ops import doctor_access as access
from chat.ops import doctor_container as container
from chat.ops import doctor_machine as platform
from chat.ops import doctor_network as network
from chat.ops.doctor_bus import check_bus
from chat.ops.findings import Finding
from chat.ops.machine import Machine, this_machine


def diagnose(config: Config, machine: Machine | None = None) -> list[Finding]:
    """Every check, in a fixed order. Takes as long as the bus takes to answer, or its timeout."""
    machine = machine or this_machine()
    before = machine.clock_offset()
    findings = [finding for check in CHECKS for finding in check(config, machine)]
    return [*findings, *platform.check_clock(machine, machine.clock_offset() - before)]


Check = Callable[[Config, Machine], Iterator[Finding]]
CHECKS: list[Check] = [
    *(platform.check_python, platform.check_kernel),
    *(container.check_cores, container.check_memory, container.check_swap),
    *(container.check_processes, container.check_first_process),
    *(network.check_open_files, network.check_all_files, network.check_epoll),
    *(network.check_accept_backlog, network.check_local_ports, network.check_tcp_memory),
    *(network.check_conntrack, platform.check_modules, platform.check_fan_out),
    *(check_bus, access.check_data_dir, access.check_run_dir, access.check_ports),
    *(access.check_addresses, access.check_tokens, access.check_api_key, access.check_webhooks),
]
