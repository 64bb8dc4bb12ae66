"""The bus at a node's start: whether it answers, or what a person has to mend.

Rules. One connection and one PING, before anything is forked. A Redis that is away is no fault: it
will be back, and nobody has to do anything. What would be the same at every try, a wrong password
or a name nobody knows, ends the start with a sentence that says what to do.

The one danger: what is said here is printed. No URL but by `public_url`.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from chat.bus.connect import connect
from chat.config import busurl
from chat.config.sections import public_url

PATIENCE_S = 2.0
PASSING = ("LOADING", "MISCONF", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "OOM", "TRYAGAIN")
"""Errors of a server that knows us and cannot serve now."""


class Unusable(Exception):
    """The bus cannot be used as configured; what is wrong, and what to do."""


def check_bus(url: str, timeout_s: float) -> str:
    """Nothing when the bus at `url` answers, else in some words why it does not now.

    Takes at most two seconds a server and the time a name takes. Of Sentinels, or of a Cluster's
    nodes, one that answers is enough. Raises Unusable.
    """
    try:
        parts = busurl.parse(url)
    except busurl.BadUrl as bad:
        raise Unusable(f"bus.url: {bad}") from None
    patience_s = min(timeout_s, PATIENCE_S)
    faults, passing = [], []
    for server in _servers(parts):
        try:
            asyncio.run(_ask(server, parts, patience_s))
        except (RedisError, OSError, TypeError, ValueError) as error:
            fault = _fault(server, error)
            faults += [] if fault is None else [fault]
            passing.append(str(error) or type(error).__name__)
        else:
            return ""
    if faults:
        raise Unusable(f"the bus {public_url(url)} {faults[0]}")
    return passing[0]


def _servers(parts: busurl.BusUrl) -> list[str]:
    """Whom to ask, as redis-py's URLs."""
    match parts.kind:
        case "single":
            return [parts.single]
        case "sentinel":
            return [parts.sentinel_at(*host) for host in parts.hosts]
        case "cluster":
            return [parts.at(*host) for host in parts.hosts]


async def _ask(url: str, parts: busurl.BusUrl, timeout_s: float) -> None:
    client = connect(url, timeout_s, timeout_s)
    try:
        if parts.kind != "sentinel":
            await client.ping()
        elif not await client.execute_command(  # type: ignore[no-untyped-call]
            "SENTINEL", "GET-MASTER-ADDR-BY-NAME", parts.master
        ):
            raise ResponseError(f"no master is called {parts.master!r}")
    finally:
        await client.aclose()


def _fault(url: str, error: BaseException) -> str | None:
    """What a person has to mend, or None."""
    for cause in _causes(error):
        match cause:
            case AuthenticationError():
                return f"refuses the user or password ({cause}): correct them in bus.url"
            case NoPermissionError():
                return f"does not let this user do what is needed ({cause}): see ACL SETUSER"
            case socket.gaierror() | UnicodeError():
                return "has a host name that does not resolve: correct it, or make it known"
            case ssl.SSLError():
                return f"does not agree to TLS ({cause.reason or cause}): {TLS}"
            case InvalidResponse():
                return "does not speak the Redis protocol: correct host and port in bus.url"
            case ResponseError() if not str(cause).startswith(PASSING):
                return f"refuses the connection ({cause}): correct bus.url"
            case PermissionError():
                return "may not be opened by this user: see the socket's mode and owner"
            case FileNotFoundError() if url.startswith("rediss:"):
                return "names a file of certificates that is not there: correct bus.url"
            case TypeError() | ValueError():
                return f"has {_option(str(cause))}: correct bus.url"
    if url.startswith("rediss:") and _speaks_plainly(url):
        return f"speaks no TLS on this port: {TLS}"
    return None


TLS = "rediss:// needs a server with a certificate this machine trusts, redis:// is without TLS"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _option(text: str) -> str:
    """What is wrong with the URL's options, as redis-py complains of it."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unknown:
        return f"an option there is not, {unknown[1]!r}"
    invalid = re.search(r"Invalid value for '(\w+)'", text)
    return f"an option with a wrong value, {invalid[1]!r}" if invalid else "a wrong option"


def _speaks_plainly(url: str) -> bool:
    """Whether the port answers without TLS: such a server waits for the end of a TLS greeting."""
    parts = urlsplit(url)
    with suppress(OSError):
        address = (parts.hostname or "localhost", parts.port or 6379)
        with socket.create_connection(address, 1.0) as client:
            client.sendall(b"PING\r\n")
            return client.recv(1) in (b"+", b"-")
    return False
