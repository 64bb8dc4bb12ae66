"""A connection group's limits and deadlines.

Rules. Plain numbers with units in their names; a tick is a second. Whoever runs a group decides
them, `chat.node` from the configuration.
"""

from dataclasses import dataclass, field
from typing import Literal

from shard.handshake import Terms

ClientAddress = Literal["connection", "proxy-protocol", "x-forwarded-for"]
"""Where a client's address comes from: who connected, or what a trusted proxy says of it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and deadlines of a group. Ticks are seconds.

    trust_tcp  who was lately sent something is not pinged: TCP ends it if it does not acknowledge
    pass_to    path of the socket to which requests for no path of ours are passed; "" answers them
    """

    capacity: int = 20_000
    handshake_bytes: int = 8_192
    message_bytes: int = 16_384
    controls_per_tick: int = 20
    backlog_soft_bytes: int = 262_144
    backlog_hard_bytes: int = 1_048_576
    backlog_total_bytes: int = 268_435_456
    handshake_ticks: int = 5
    ping_ticks: int = 30
    timeout_ticks: int = 20
    close_ticks: int = 5
    stall_ticks: int = 30
    trust_tcp: bool = False
    client_address: ClientAddress = "connection"
    trusted_proxies: tuple[str, ...] = ()
    connections_per_address: int = 0
    pass_to: str = ""
    terms: Terms = field(default_factory=Terms)
