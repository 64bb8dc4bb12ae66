"""What may be set, and within which bounds: one frozen Struct per section of `config.toml`.

Rules. Types and defaults only. The reasons for the defaults stand beside each key in `config.toml`,
and a test keeps the two equal. Nothing here looks at the machine (that is `ops.doctor`).

Danger: a section is printed in tracebacks and logs. Nothing may show the value of a key in SECRETS.
"""

from hashlib import sha256
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field

from chat.config import busurl

URLS = frozenset({"bus.url", "rooms.presend_url", "webhooks.url"})
"""Keys whose values may carry a password."""
SECRETS = URLS | {
    *("auth.secret", "auth.secret_before", "api.key", "api.keys", "rooms.presend_secret"),
    "webhooks.secret",
}
"""Keys whose values are never shown."""

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[int, Meta(ge=1, le=3600)]
Word = Annotated[str, Meta(min_length=1)]
LikeKind = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,16}\Z")]
MOST_LIKE_KINDS: Final = 8
"""That a room can have: anybody may make one up, and all are told to everybody."""


class Section(msgspec.Struct, frozen=True):
    """One table of the file. Printing it hides what must not be printed."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        section = type(self).__name__.lower()
        return [
            (name, _printable(f"{section}.{name}", getattr(self, name)))
            for name in self.__struct_fields__
        ]

    def __repr__(self) -> str:
        pairs = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({pairs})"


def _printable(path: str, value: Any) -> Any:
    if path in URLS:
        return public_url(value)
    return "***" if value and path in SECRETS else value


def public_url(url: str) -> str:
    """`url` as it may be printed: scheme, hosts, ports and path, but no user, password or query."""
    if url.startswith((*busurl.SCHEMES, "unix://")):
        try:
            return busurl.parse(url).public
        except busurl.BadUrl:
            return "a URL that cannot be parsed"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a URL that cannot be parsed"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}" if parts.scheme else url


Dialect = Literal["danmaku", "sse", "goim", "centrifugal"]
"""A way of speaking that a node may offer."""


class Server(Section, frozen=True):
    host: Word = "0.0.0.0"
    port: Port = 8000
    path: Word = "/ws"
    dialects: tuple[Dialect, ...] = ("danmaku", "sse")
    goim_room: Annotated[str, Meta(max_length=64)] = "live:{}"
    shards: Annotated[int, Meta(ge=0, le=1024)] = 0
    public_url: str = ""
    video: str = ""
    origins: tuple[str, ...] = ("*",)
    frame_ancestors: tuple[str, ...] = ()
    client_address: Literal["connection", "proxy-protocol", "x-forwarded-for"] = "connection"
    trusted_proxies: tuple[str, ...] = ()
    drain_s: Annotated[int, Meta(ge=0, le=3600)] = 10
    compression: bool = True
    accept_backlog: Annotated[int, Meta(ge=1, le=65535)] = 4096


class Bus(Section, frozen=True):
    url: Word = "embedded"
    prefix: Word = "danmaku"
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 64
    flush_interval_ms: Annotated[int, Meta(ge=1, le=1000)] = 20
    read_count: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    stream_entries: Annotated[int, Meta(ge=100, le=10_000_000)] = 100_000
    audit_entries: Annotated[int, Meta(ge=100, le=10_000_000)] = 100_000
    timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 2000
    data_dir: str = ""


class Heartbeat(Section, frozen=True):
    ping_s: Seconds = 30
    timeout_s: Seconds = 20
    handshake_s: Seconds = 5
    close_s: Seconds = 5
    trust_tcp: bool = True


class Limits(Section, frozen=True):
    connections: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    connections_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    handshake_bytes: Annotated[int, Meta(ge=512, le=65_536)] = 8192
    message_bytes: Annotated[int, Meta(ge=128, le=16_777_216)] = 16_384
    text_chars: Annotated[int, Meta(ge=1, le=2000)] = 300
    room_chars: Annotated[int, Meta(ge=1, le=64)] = 64
    rooms: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    rooms_opened_per_s: Annotated[int, Meta(ge=1, le=100_000)] = 500
    rooms_per_connection: Annotated[int, Meta(ge=1, le=1000)] = 50
    commands_per_s: Annotated[int, Meta(ge=1, le=10_000)] = 10
    commands_burst: Annotated[int, Meta(ge=1, le=10_000)] = 40
    user_messages_per_s: Annotated[int, Meta(ge=0, le=10_000)] = 0
    user_messages_burst: Annotated[int, Meta(ge=1, le=10_000)] = 10
    address_messages_per_s: Annotated[int, Meta(ge=0, le=100_000)] = 0
    address_messages_burst: Annotated[int, Meta(ge=1, le=100_000)] = 100
    control_frames_per_s: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    backlog_soft_bytes: Annotated[int, Meta(ge=4096, le=1_073_741_824)] = 262_144
    backlog_hard_bytes: Annotated[int, Meta(ge=4096, le=1_073_741_824)] = 1_048_576
    backlog_total_bytes: Annotated[int, Meta(ge=4096, le=1_099_511_627_776)] = 268_435_456
    resume_bytes: Annotated[int, Meta(ge=65_536, le=1_099_511_627_776)] = 67_108_864
    stall_s: Seconds = 30
    send_buffer_bytes: Annotated[int, Meta(ge=4096, le=16_777_216)] = 65_536


class Rooms(Section, frozen=True):
    history: Annotated[int, Meta(ge=1, le=100_000)] = 500
    history_on_join: Annotated[int, Meta(ge=0, le=1000)] = 30
    history_ttl_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 86_400
    online_interval_s: Seconds = 5
    linger_s: Annotated[int, Meta(ge=0, le=3600)] = 30
    like_kinds: Annotated[tuple[LikeKind, ...], Meta(max_length=MOST_LIKE_KINDS)] = ()
    messages_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    shown_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    hooks: str = ""
    hooks_budget_ms: Annotated[int, Meta(ge=1, le=5000)] = 100
    hooks_failing: Literal["open", "closed"] = "open"
    presend_url: str = ""
    presend_secret: str = ""
    presend_timeout_ms: Annotated[int, Meta(ge=1, le=5000)] = 300
    presend_failing: Literal["open", "closed"] = "open"


class Auth(Section, frozen=True):
    secret: str = ""
    secret_before: str = ""
    public_keys: str = ""
    audience: str = ""
    issuer: str = ""
    guests: Literal["type", "read", "refuse"] = "type"
    guest_names: bool = True
    kind_roles: tuple[Word, ...] = ()
    devices: Literal["allow", "replace", "refuse"] = "allow"


Scope = Literal["publish", "moderate", "read", "metrics"]
"""What a key of the API opens."""


class ApiKey(msgspec.Struct, frozen=True):
    """One key of several; it, or its SHA-256 in hexadecimal. A rate of 0 is none."""

    name: str
    scopes: tuple[Scope, ...]
    key: str = ""
    key_sha256: str = ""
    per_s: Annotated[int, Meta(ge=0, le=100_000)] = 0
    burst: Annotated[int, Meta(ge=0, le=1_000_000)] = 0

    def __repr__(self) -> str:
        return f"ApiKey(name={self.name!r}, scopes={self.scopes!r})"

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key."""
        if self.key_sha256:
            return bytes.fromhex(self.key_sha256)
        return sha256(self.key.encode()).digest()


class Api(Section, frozen=True):
    host: Word = "127.0.0.1"
    port: Port = 8001
    key: str = ""
    keys: tuple[ApiKey, ...] = ()
    open_per_s: Annotated[int, Meta(ge=0, le=100_000)] = 0
    body_bytes: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 1_048_576
    body_idle_s: Seconds = 10
    stream_idle_s: Seconds = 60
    connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    connections_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 250
    live_streams: Annotated[int, Meta(ge=0, le=10_000)] = 64

    @property
    def keyed(self) -> bool:
        """Whether a key is needed; else only this machine may call."""
        return bool(self.key or self.keys)


WebhookEvent = Literal[
    "message",
    "moderation",
    "report",
    "room_occupied",
    "room_vacated",
    "connected",
    "disconnected",
]
"""What an operator's service can be told of."""


class Webhooks(Section, frozen=True):
    url: str = ""
    secret: str = ""
    events: tuple[WebhookEvent, ...] = (
        "message",
        "moderation",
        "report",
        "room_occupied",
        "room_vacated",
    )
    timeout_s: Annotated[int, Meta(ge=1, le=60)] = 10

    def wants(self, *events: WebhookEvent) -> bool:
        """Whether one of these is to be told."""
        return bool(self.url) and not set(events).isdisjoint(self.events)


class Node(Section, frozen=True):
    run_dir: str = ""


class Log(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["human", "json"] = "human"


class Config(msgspec.Struct, frozen=True):
    server: Server = field(default_factory=Server)
    bus: Bus = field(default_factory=Bus)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    limits: Limits = field(default_factory=Limits)
    rooms: Rooms = field(default_factory=Rooms)
    auth: Auth = field(default_factory=Auth)
    api: Api = field(default_factory=Api)
    webhooks: Webhooks = field(default_factory=Webhooks)
    node: Node = field(default_factory=Node)
    log: Log = field(default_factory=Log)


SECTIONS: dict[str, type[Section]] = {f.name: f.type for f in msgspec.structs.fields(Config)}
TYPES: dict[str, Any] = {
    f"{section}.{f.name}": f.type
    for section, struct in SECTIONS.items()
    for f in msgspec.structs.fields(struct)
}
"""Every key by its path, `limits.text_chars`, with its annotated type."""
KEYS = {path.partition(".")[2]: path for path in reversed(TYPES)}
"""A key's name alone, and the first path that has it."""
