"""TLS to every kind of servers: certificates are checked, and nothing is said in the clear.

The embedded binary has no TLS; Debian's redis-server does.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.local import free_port
from chat.bus.connect import StoreError
from chat.ops.engine import find_binary
from tests.chat.rig import a_store, publish
from tests.servers import TestServer, wait_for


def able() -> Path | None:
    """A server built with TLS."""
    bundled, installed = find_binary(), shutil.which("redis-server")
    for binary in (bundled, Path(installed) if installed else None):
        if binary is not None and speaks_tls(binary):
            return binary
    return None


def speaks_tls(binary: Path) -> bool:
    found = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    return "libssl" in found.stdout


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one that signs itself, for 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=danmaku", "-keyout", "key.pem"),
            *("-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    return directory


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[TestServer]:
    """A Cluster of one node, which nobody can reach but by TLS or its socket."""
    binary = able()
    if binary is None:
        pytest.skip("no server here speaks TLS: apt install redis-server")
    port = free_port()
    settings = {
        "port": "0",
        "tls_port": str(port),
        "tls_cert_file": str(certificate / "cert.pem"),
        "tls_key_file": str(certificate / "key.pem"),
        "tls_ca_cert_file": str(certificate / "cert.pem"),
        "tls_auth_clients": "no",
        "tls_cluster": "yes",
        "cluster_enabled": "yes",
        "cluster_port": str(free_port()),
    }
    with TestServer(binary, **settings) as server:
        server.tcp_port = port
        server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_for(lambda: server.ask("CLUSTER INFO")["cluster_state"] == "ok", "its slots")
        yield server


@pytest.mark.parametrize("kind", ["", "+cluster"])
class TestTls:
    async def test_a_server_is_spoken_to(
        self, server: TestServer, certificate: Path, prefix: str, kind: str
    ) -> None:
        trust = f"ssl_ca_certs={certificate / 'cert.pem'}"
        store = a_store(f"rediss{kind}://127.0.0.1:{server.port}?{trust}", prefix)
        await store.ping()
        assert [one.seq for one in await publish(store, "r", "a", "b")] == [1, 2]
        tail = store.tail(store.keys.fanout(store.keys.partition("r")), 1.0)
        [(_, entries)] = await tail.read({store.keys.fanout(store.keys.partition("r")): b"0-0"}, 9)
        assert len(entries) == 2
        await tail.close()
        await store.close()

    async def test_one_that_nobody_vouches_for_is_not(self, server: TestServer, kind: str) -> None:
        store = a_store(f"rediss{kind}://127.0.0.1:{server.port}", "x")
        with pytest.raises(StoreError):
            await store.ping()
        await store.close()

    async def test_unless_that_is_asked_for(self, server: TestServer, kind: str) -> None:
        query = "ssl_cert_reqs=none&ssl_check_hostname=false"
        store = a_store(f"rediss{kind}://127.0.0.1:{server.port}?{query}", "x")
        await store.ping()
        await store.close()
