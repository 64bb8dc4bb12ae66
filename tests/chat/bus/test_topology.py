"""Which kind of servers a URL means."""

import pytest

from chat.bus.cluster import ClusterServers
from chat.bus.sentinel import SentinelServers
from chat.bus.servers import Servers
from chat.bus.topology import open_servers
from chat.config.busurl import BadUrl


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://h", Servers),
        ("unix:///run/s", Servers),
        ("redis+sentinel://a,b/m", SentinelServers),
        ("rediss+sentinel://a,b/m?ssl_cert_reqs=none", SentinelServers),
        ("redis+cluster://a,b", ClusterServers),
        ("rediss+cluster://:p@a", ClusterServers),
    ],
)
async def test_a_url_says_what_kind(url: str, kind: type[Servers]) -> None:
    servers = open_servers(url, 1.0)
    assert type(servers) is kind
    await servers.close()


def test_a_bad_one_is_refused() -> None:
    with pytest.raises(BadUrl):
        open_servers("redis+cluster://", 1.0)
