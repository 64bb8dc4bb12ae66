"""The configuration: what may be set, within which bounds, and every mistake in one list.

Lives here: one frozen Struct per section of `config.toml`, and `load()`, which lays the file and
the `DANMAKU_<SECTION>_<KEY>` environment over the defaults. The reasons for the defaults are not
here; they stand beside each key in `config.toml`, and a test keeps the two equal.
Must not: look at the machine (that is `doctor`), or act on a value (that is its reader).

Strategy: msgspec stops at the first error of one `convert()`, so every key is converted by itself,
and the rules that span keys run last, only over keys that are sound by themselves.
The one danger: a problem is printed and logged, and it quotes what it found. Nothing may quote the
value of a key in `SECRETS`.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field

from chat import configwords as words
from chat.configchecks import CHECKS

PREFIX = "DANMAKU_"
SECRETS = frozenset({"bus.url", "auth.secret", "api.key"})
"""Keys whose values are never shown; `bus.url` because it may carry a password."""

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[int, Meta(ge=1, le=3600)]
Word = Annotated[str, Meta(min_length=1)]


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
    if path == "bus.url":
        return public_url(value)
    return "***" if value and path in SECRETS else value


def public_url(url: str) -> str:
    """`url` as it may be printed: scheme, host, port and path, but no user, password or query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a URL that cannot be parsed"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}" if parts.scheme else url


class Server(Section, frozen=True):
    host: Word = "0.0.0.0"
    port: Port = 8000
    path: Word = "/ws"
    shards: Annotated[int, Meta(ge=0, le=1024)] = 0
    origins: tuple[str, ...] = ("*",)
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
    timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 2000
    data_dir: str = ""


class Heartbeat(Section, frozen=True):
    ping_s: Seconds = 30
    timeout_s: Seconds = 20
    handshake_s: Seconds = 5
    close_s: Seconds = 5


class Limits(Section, frozen=True):
    connections: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    connections_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    handshake_bytes: Annotated[int, Meta(ge=512, le=65_536)] = 8192
    message_bytes: Annotated[int, Meta(ge=128, le=16_777_216)] = 16_384
    text_chars: Annotated[int, Meta(ge=1, le=2000)] = 300
    room_chars: Annotated[int, Meta(ge=1, le=64)] = 64
    rooms_per_connection: Annotated[int, Meta(ge=1, le=1000)] = 50
    commands_per_s: Annotated[int, Meta(ge=1, le=10_000)] = 10
    commands_burst: Annotated[int, Meta(ge=1, le=10_000)] = 40
    backlog_soft_bytes: Annotated[int, Meta(ge=4096, le=1_073_741_824)] = 262_144
    backlog_hard_bytes: Annotated[int, Meta(ge=4096, le=1_073_741_824)] = 1_048_576
    stall_s: Seconds = 30
    send_buffer_bytes: Annotated[int, Meta(ge=4096, le=16_777_216)] = 65_536


class Rooms(Section, frozen=True):
    history: Annotated[int, Meta(ge=1, le=100_000)] = 500
    history_on_join: Annotated[int, Meta(ge=0, le=1000)] = 30
    history_ttl_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 86_400
    online_interval_s: Seconds = 5
    linger_s: Annotated[int, Meta(ge=0, le=3600)] = 30


class Auth(Section, frozen=True):
    secret: str = ""
    guests: Literal["type", "read", "refuse"] = "type"


class Api(Section, frozen=True):
    host: Word = "127.0.0.1"
    port: Port = 8001
    key: str = ""
    body_bytes: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 1_048_576


class Log(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(msgspec.Struct, frozen=True):
    server: Server = field(default_factory=Server)
    bus: Bus = field(default_factory=Bus)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    limits: Limits = field(default_factory=Limits)
    rooms: Rooms = field(default_factory=Rooms)
    auth: Auth = field(default_factory=Auth)
    api: Api = field(default_factory=Api)
    log: Log = field(default_factory=Log)


class ConfigError(Exception):
    """The configuration is refused. `problems` holds one line for each thing wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


SECTIONS: dict[str, type[Section]] = {f.name: f.type for f in msgspec.structs.fields(Config)}
TYPES: dict[str, Any] = {
    f"{section}.{f.name}": f.type
    for section, struct in SECTIONS.items()
    for f in msgspec.structs.fields(struct)
}
"""Every key by its path, `limits.text_chars`, with its annotated type."""
KEYS = {path.partition(".")[2]: path for path in reversed(TYPES)}
"""A key's name alone, and the first path that has it."""
VARIABLES = {PREFIX + path.replace(".", "_").upper(): path for path in TYPES}


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The defaults, under the file at `path` (TOML), under the environment.

    Raises ConfigError listing every problem of both at once.
    """
    draft = _Draft()
    if path is not None:
        draft.take_file(path)
    draft.take_environ(environ)
    return draft.finish()


class _Draft:
    """What has been read so far, and what was wrong with it."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        self.problems: list[str] = []
        self.doubtful: set[str] = set()  # paths with a problem: rules that span keys skip them

    def take_file(self, path: Path) -> None:
        try:
            text = path.read_bytes().decode()
            tables = tomllib.loads(text)
        except FileNotFoundError:
            fault = "no such file"
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        except UnicodeDecodeError as error:
            fault = f"not UTF-8: byte {error.start} is no text"
        except RecursionError:
            fault = "not TOML: nested too deeply"
        except ValueError as error:  # not TOML, or an integer too long for int()
            fault = f"not TOML: {words.with_line(str(error), text)}"
        else:
            for section, table in tables.items():
                self.take_table(section, table)
            return
        self.problems.append(f"{path}: {fault}")
        self.doubtful.update(TYPES)  # the file might have set any of them

    def take_table(self, section: str, table: Any) -> None:
        if section not in SECTIONS:
            near = KEYS if not isinstance(table, dict) else {name: f"[{name}]" for name in SECTIONS}
            kind = "section" if isinstance(table, dict) else "key outside the sections"
            hint = words.did_you_mean(section, near)
            self.problems.append(f"{words.name(section)}: unknown {kind}{hint}")
        elif not isinstance(table, dict):
            self.problems.append(f"{section}: expected a table, got {words.got(table)}")
            self.doubtful.update(path for path in TYPES if path.startswith(f"{section}."))
        else:
            for key, value in table.items():
                self.take(f"{section}.{key}", value, "")

    def take_environ(self, environ: Mapping[str, str]) -> None:
        for variable in sorted(name for name in environ if name.startswith(PREFIX)):
            path = VARIABLES.get(variable)
            if path is None:
                near = {name.removeprefix(PREFIX): name for name in VARIABLES}
                hint = words.did_you_mean(variable.removeprefix(PREFIX).upper(), near)
                self.problems.append(f"{words.name(variable)}: unknown variable{hint}")
            elif not _is_text(environ[variable]):
                self.refuse(path, f"not UTF-8 (from {variable})")
            else:
                self.take(path, _from_environ(path, environ[variable]), f" (from {variable})")

    def take(self, path: str, value: Any, source: str) -> None:
        if path not in TYPES:
            section, _, key = path.partition(".")
            own = {name: f"{section}.{name}" for name in SECTIONS[section].__struct_fields__}
            hint = words.did_you_mean(key, KEYS | own)
            self.problems.append(f"{words.name(path)}: unknown key{hint}")
            return
        try:
            sound = msgspec.convert(value, TYPES[path])
        except msgspec.ValidationError:
            got = "a value that is not shown" if path in SECRETS else words.got(value)
            fault: str | None = f"expected {words.expected(TYPES[path])}, got {got}"
        else:
            fault = CHECKS[path](sound) if path in CHECKS else None
        if fault is not None:
            self.refuse(path, f"{fault}{source}")
            return
        section, _, key = path.partition(".")
        self.values[section][key] = sound

    def refuse(self, path: str, fault: str) -> None:
        self.doubtful.add(path)
        self.problems.append(f"{path}: {fault}")

    def finish(self) -> Config:
        sections: dict[str, Any] = {name: SECTIONS[name](**self.values[name]) for name in SECTIONS}
        config = Config(**sections)
        for paths, rule in RULES:
            fault = None if self.doubtful.intersection(paths) else rule(config)
            if fault is not None:
                self.problems.append(f"{paths[0]}: {fault}")
        if self.problems:
            raise ConfigError(self.problems)
        return config


def _is_text(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 reach os.environ as lone surrogates
        return False
    return True


def _from_environ(path: str, raw: str) -> Any:
    """`raw` as the TOML value it spells; as itself where a string is due or none is spelt."""
    try:
        parsed = tomllib.loads(f"value = {raw.strip()}")
    except (ValueError, RecursionError):
        return raw
    value = parsed["value"]
    # A secret made of digits stays text; and a line break must not begin a second key.
    if len(parsed) > 1 or (words.is_text(TYPES[path]) and not isinstance(value, str)):
        return raw
    return value


# What several keys must be together. The first path is the one the problem is filed under.


def _ports_differ(config: Config) -> str | None:
    hosts = {config.server.host, config.api.host}
    overlap = len(hosts) == 1 or hosts & {"0.0.0.0", "::"}
    if config.server.port == config.api.port and overlap:
        return f"{config.api.port} is also server.port; each needs its own"
    return None


def _someone_is_trusted(config: Config) -> str | None:
    source = config.server.client_address
    if source != "connection" and not config.server.trusted_proxies:
        return (
            f'"{source}" needs server.trusted_proxies, the addresses whose word is taken; a proxy '
            'on this machine is "127.0.0.1"'
        )
    return None


def _trust_is_used(config: Config) -> str | None:
    if config.server.trusted_proxies and config.server.client_address == "connection":
        return (
            'only has a meaning with server.client_address = "proxy-protocol" or '
            '"x-forwarded-for", whichever these proxies send'
        )
    return None


def _data_dir_is_ours(config: Config) -> str | None:
    if config.bus.data_dir and config.bus.url != "embedded":
        return 'only has a meaning with bus.url = "embedded"; another server keeps its own data'
    return None


def _hard_above_soft(config: Config) -> str | None:
    hard, soft = config.limits.backlog_hard_bytes, config.limits.backlog_soft_bytes
    return f"{hard} is less than limits.backlog_soft_bytes, {soft}" if hard < soft else None


def _history_is_kept(config: Config) -> str | None:
    kept, shown = config.rooms.history, config.rooms.history_on_join
    return f"{kept} is less than rooms.history_on_join, {shown}" if kept < shown else None


def _someone_may_enter(config: Config) -> str | None:
    if config.auth.guests == "refuse" and not config.auth.secret:
        return '"refuse" without auth.secret leaves nobody who could connect'
    return None


RULES: list[tuple[tuple[str, ...], Callable[[Config], str | None]]] = [
    (("api.port", "api.host", "server.host", "server.port"), _ports_differ),
    (("server.client_address", "server.trusted_proxies"), _someone_is_trusted),
    (("server.trusted_proxies", "server.client_address"), _trust_is_used),
    (("bus.data_dir", "bus.url"), _data_dir_is_ours),
    (("limits.backlog_hard_bytes", "limits.backlog_soft_bytes"), _hard_above_soft),
    (("rooms.history", "rooms.history_on_join"), _history_is_kept),
    (("auth.guests", "auth.secret"), _someone_may_enter),
]
