"""The proxies of deploy/proxies, run with what stands there but addresses, files and limits.

Rules. Each change is of something that is in the file exactly as often as is said, so a file that
was changed is not tested half. The certificate is made here and is nobody else's.
"""

import ctypes
import datetime
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.local import Node, free_port
from tests.patience import PATIENCE_S

FOLDER = Path(__file__).parents[2] / "deploy/proxies"
PR_SET_PDEATHSIG = 1
ADDRESSES = {"nginx": "x-forwarded-for", "haproxy": "proxy-protocol", "caddy": "x-forwarded-for"}
"""How each tells the nodes who connected."""


class Site:
    """A proxy that listens; `context` trusts its certificate."""

    def __init__(self, port: int, context: ssl.SSLContext, process: "subprocess.Popen[bytes]"):
        self.port = port
        self.context = context
        self.process = process

    def wss(self, path: str) -> str:
        return f"wss://localhost:{self.port}{path}"


def behind(name: str) -> dict[str, object]:
    """The settings of a node behind a proxy."""
    return {"server_client_address": ADDRESSES[name], "server_trusted_proxies": '["127.0.0.1"]'}


@contextmanager
def proxy(name: str, folder: Path, nodes: list[Node]) -> Iterator[Site]:
    """nginx, haproxy or caddy before two nodes, or twice before one; it writes to `folder`."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name}: apt install {name}")
    folder.mkdir()
    port = free_port()
    context = certify(folder)
    command = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}[name](folder, port, nodes)
    home = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *command],
            env=os.environ | home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent,
        )
    try:
        wait_for(port, process, folder / "log")
        yield Site(port, context, process)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()


def end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it listens. Fails with what it said."""
    listening = f"{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + PATIENCE_S
    while listening not in Path("/proc/net/tcp").read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def changed(file: str, *changes: tuple[str, str, int]) -> str:
    """The text of a file with `changes`: what, for what, how often it stands there."""
    text = (FOLDER / file).read_text()
    for old, new, count in changes:
        assert text.count(old) == count, f"{file} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    return text


def upstreams(nodes: list[Node]) -> tuple[str, str]:
    return f"127.0.0.1:{nodes[0].port}", f"127.0.0.1:{nodes[-1].port}"


def nginx(folder: Path, port: int, nodes: list[Node]) -> list[str]:
    first, second = upstreams(nodes)
    # With one node the second line is a spare that is never asked.
    spare = " backup" if len(nodes) == 1 else ""
    text = changed(
        "nginx.conf",
        ("listen 443 ssl backlog=4096;", f"listen 127.0.0.1:{port} ssl backlog=4096;", 1),
        ("10.0.0.11:8000", first, 1),
        ("server 10.0.0.12:8000", f"server {second}{spare}", 1),
        ("/etc/danmaku/tls", str(folder), 2),
        ("/tmp/nginx", f"{folder}/nginx", 6),
        ("worker_rlimit_nofile 200000;", "", 1),
        ("worker_connections 100000;", "worker_connections 1000;", 1),
    )
    (folder / "nginx.conf").write_text(text)
    user = "user root; " if os.geteuid() == 0 else ""
    config = str(folder / "nginx.conf")
    return ["-e", "stderr", "-p", str(folder), "-c", config, "-g", f"{user}daemon off;"]


def haproxy(folder: Path, port: int, nodes: list[Node]) -> list[str]:
    first, second = upstreams(nodes)
    text = changed(
        "haproxy.cfg",
        ("bind :443 ", f"bind 127.0.0.1:{port} ", 1),
        ("10.0.0.11:8000", first, 1),
        ("10.0.0.12:8000", second, 1),
        ("/etc/danmaku/tls", str(folder), 1),
        ("maxconn 100000", "maxconn 1000", 1),
        ("\nglobal\n", f"\nglobal\n  stats socket {folder}/admin level admin\n", 1),
    )
    (folder / "haproxy.cfg").write_text(text)
    return ["-db", "-f", str(folder / "haproxy.cfg")]


def caddy(folder: Path, port: int, nodes: list[Node]) -> list[str]:
    first, second = upstreams(nodes)
    own = f"tls {folder}/fullchain.pem {folder}/privkey.pem"
    text = changed(
        "Caddyfile",
        ("10.0.0.11:8000 10.0.0.12:8000", " ".join(dict.fromkeys((first, second))), 1),
        ("\n{\n", "\n{\n\tadmin off\n\tauto_https off\n", 1),
        ("\nchat.example {\n", f"\nhttps://localhost:{port} {{\n\tbind 127.0.0.1\n\t{own}\n", 1),
    )
    (folder / "Caddyfile").write_text(text)
    return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def certify(folder: Path) -> ssl.SSLContext:
    """Write a key and a certificate of `localhost`; what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=12))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for file, content in (("fullchain", public), ("privkey", private), ("both", public + private)):
        (folder / f"{file}.pem").write_bytes(content)
    return ssl.create_default_context(cadata=public.decode())
