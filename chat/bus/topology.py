"""What kind of servers the bus has.

Rules. The only place that knows all kinds.
"""

from chat.bus.cluster import ClusterServers
from chat.bus.sentinel import SentinelServers
from chat.bus.servers import Servers
from chat.config import busurl


def open_servers(url: str, timeout_s: float) -> Servers:
    """The servers behind `bus.url`; a command may take `timeout_s` seconds. Raises BadUrl."""
    parts = busurl.parse(url)
    match parts.kind:
        case "single":
            return Servers(parts.single, timeout_s)
        case "sentinel":
            return SentinelServers(parts, timeout_s)
        case "cluster":
            return ClusterServers(parts, timeout_s)
