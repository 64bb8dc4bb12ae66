"""Where the bus is: its URL, taken apart.

    redis://[user[:password]@]host[:port][/db]          one server; rediss:// with TLS
    unix://[user[:password]@]/path[?db=N]               one server on this machine
    redis+sentinel://[user…@]h1[:port],h2…/NAME[/db]    the master that Sentinels call NAME
    redis+cluster://[user…@]h1[:port],h2…               a Cluster that these are some nodes of

Rules. Pure. Sentinel and Cluster speak TLS as rediss+sentinel:// and rediss+cluster://, to every
server. What redis-py would take from the query beside these options could turn off what
`bus.connect` relies on, so it is refused.

Danger: a URL may carry a password. No problem quotes any part of it, and only `public` is printed.
"""

import re
from typing import Final, Literal, get_args
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from msgspec import Struct

Kind = Literal["single", "sentinel", "cluster"]
PORTS: Final = {"single": 6379, "sentinel": 26379, "cluster": 6379}
TLS_OPTIONS: Final = frozenset(
    "ssl_" + name
    for name in ("ca_certs", "ca_path", "certfile", "keyfile", "cert_reqs", "check_hostname")
)
COMMON_OPTIONS: Final = frozenset({"health_check_interval", "client_name", "socket_keepalive"})
OPTIONS: Final = frozenset({"db", "username", "password"})
SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
SCHEMES: Final = tuple(
    f"{scheme}{kind}://" for kind in ("", "+sentinel", "+cluster") for scheme in ("redis", "rediss")
)
WANTED: Final = (
    'expected "embedded", redis://, redis+sentinel:// or redis+cluster:// (rediss… for TLS) or '
    "unix://"
)


class BadUrl(ValueError):
    """What is wrong with a URL, without any part of it."""


class BusUrl(Struct, frozen=True):
    """A URL's parts. `user` is all before the @ as it stands; `path` is a socket's."""

    kind: Kind
    tls: bool
    user: str
    hosts: tuple[tuple[str, int], ...]
    path: str
    master: str
    db: int | None
    options: tuple[tuple[str, str], ...]

    def at(self, host: str, port: int) -> str:
        """The URL of one of its servers, for redis-py."""
        user = f"{self.user}@" if self.user else ""
        where = f"{_bracketed(host)}:{port}/{self.db or 0}"
        return f"{self._scheme}://{user}{where}{self._query(exclude=SENTINEL_OPTIONS)}"

    def sentinel_at(self, host: str, port: int) -> str:
        """The URL of one of its Sentinels, which have users and passwords of their own."""
        own = dict(self.options)
        name, password = (own.get(f"sentinel_{what}", "") for what in ("username", "password"))
        user = f"{quote(name, '')}:{quote(password, '')}@" if name or password else ""
        return f"{self._scheme}://{user}{_bracketed(host)}:{port}{self._query(SENTINEL_OPTIONS)}"

    @property
    def single(self) -> str:
        """The URL of the one server, for redis-py."""
        if not self.path:
            return self.at(*self.hosts[0])
        user = f"{self.user}@" if self.user else ""
        return f"unix://{user}{self.path}{self._query()}"

    @property
    def public(self) -> str:
        """As it may be printed: no user, password or query."""
        if self.path:
            return f"unix://{self.path}"
        kind = "" if self.kind == "single" else f"+{self.kind}"
        hosts = ",".join(f"{_bracketed(host)}:{port}" for host, port in self.hosts)
        master = f"/{self.master}" if self.master else ""
        return f"{self._scheme}{kind}://{hosts}{master}{'' if self.db is None else f'/{self.db}'}"

    @property
    def _scheme(self) -> str:
        return "rediss" if self.tls else "redis"

    def _query(self, exclude: frozenset[str] = frozenset()) -> str:
        kept = [(name, value) for name, value in self.options if name not in exclude]
        return f"?{urlencode(kept)}" if kept else ""


def parse(url: str) -> BusUrl:
    """Raises BadUrl."""
    try:
        parts = urlsplit(url)
        options = tuple(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise BadUrl(f"{WANTED}, got a URL that cannot be parsed") from None
    if parts.fragment:
        raise BadUrl(f"{WANTED}, got a URL with a #; in a password it is written %23")
    if url.startswith("unix://"):
        return _unix(parts.netloc, parts.path, options)
    if not url.startswith(SCHEMES):
        raise BadUrl(f"{WANTED}, got another scheme")
    scheme, _, kind = parts.scheme.partition("+")
    return _servers(scheme == "rediss", kind, parts.netloc, parts.path, options)


def _unix(netloc: str, path: str, options: tuple[tuple[str, str], ...]) -> BusUrl:
    user, at, host = netloc.rpartition("@")
    if host or not path.strip("/"):
        raise BadUrl("expected a path after unix://")
    if "@" in path and at:
        raise BadUrl("expected one @ in unix://; in a password it is written %40, a / %2F")
    _check_options(options, OPTIONS | COMMON_OPTIONS)
    return BusUrl("single", False, user, (), path, "", None, options)


def _servers(
    tls: bool, wing: str, netloc: str, path: str, options: tuple[tuple[str, str], ...]
) -> BusUrl:
    kind = next(one for one in get_args(Kind) if one == (wing or "single"))
    user, _, names = netloc.rpartition("@")
    hosts = tuple(_host(name, PORTS[kind]) for name in names.split(","))
    if kind == "single" and len(hosts) > 1:
        raise BadUrl("expected one host; several are redis+sentinel:// or redis+cluster://")
    rest = path.removeprefix("/").split("/") if path not in ("", "/") else []
    master = ""
    if kind == "sentinel":
        if not rest or not rest[0]:
            raise BadUrl("expected the master's name after the Sentinels: redis+sentinel://h/NAME")
        master = unquote(rest.pop(0))
    db = _db(rest)
    if kind == "cluster" and db:
        raise BadUrl("expected no database number: a Cluster has only 0")
    own = {"single": OPTIONS, "sentinel": SENTINEL_OPTIONS}.get(kind, frozenset())
    _check_options(options, own | COMMON_OPTIONS | (TLS_OPTIONS if tls else frozenset()))
    return BusUrl(kind, tls, user, hosts, "", master, db, options)


def _host(name: str, default: int) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", name)
    port = int(found[3] or default) if found else 0
    if not found or not 0 < port < 65536:
        raise BadUrl("expected host or host:port after the ://, several with commas")
    return found[1] or found[2], port


def _db(rest: list[str]) -> int | None:
    if not rest:
        return None
    if len(rest) > 1 or not re.fullmatch("[0-9]{1,6}", rest[0]):
        raise BadUrl("expected a database number at the end; in a password a / is written %2F")
    return int(rest[0])


def _check_options(options: tuple[tuple[str, str], ...], known: frozenset[str]) -> None:
    for name, value in options:
        if name not in known:
            tls = "; what begins with ssl_ needs rediss" if name in TLS_OPTIONS else ""
            takes = ", ".join(sorted(known)) or "nothing"
            raise BadUrl(f"expected no such option after the ?: here it takes {takes}{tls}")
        if name == "db" and not re.fullmatch("[0-9]{1,6}", value):
            raise BadUrl("expected a number as db")
        if name == "ssl_cert_reqs" and value not in ("none", "optional", "required"):
            raise BadUrl("expected none, optional or required as ssl_cert_reqs")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
