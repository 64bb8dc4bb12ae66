"""What the service manager is told: that the node is up, that it reloads, that it goes down.

Rules. The protocol of systemd's sd_notify(3): a datagram of `NAME=value` lines to the socket that
NOTIFY_SOCKET names. Without that variable nobody asked, and nothing is done. The supervisor alone
tells; a node never ends because nobody would listen.
"""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

log = logging.getLogger(__name__)

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
RELOADING: Final = "RELOADING=1"
"""READY follows it; systemd from 253 on wants to be told since when, too."""


def monotonic(now: float) -> str:
    """A moment of CLOCK_MONOTONIC, in seconds, as it is told with RELOADING."""
    return f"MONOTONIC_USEC={int(now * 1_000_000)}"


def tell(*lines: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send `lines`, such as READY and `STATUS=words`; what cannot be sent is logged."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace, unix(7)
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)
    except (OSError, ValueError) as error:
        log.warning("the service manager cannot be told %s: %s", lines[0], error)
