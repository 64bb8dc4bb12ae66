"""Every key with another value than the default, and valid: for what is said of all of them."""

from typing import Any, Final

import msgspec

from chat.config.sections import SECTIONS, TYPES, ApiKey, Config

SECRET: Final = "another-secret-of-at-least-32-bytes-0123"
OTHERS: Final[dict[str, Any]] = {
    "server.host": "127.0.0.2",
    "server.path": "/another",
    "server.dialects": ("danmaku",),
    "server.goim_room": "game:{}",
    "server.public_url": "https://chat.example",
    "server.video": "https://site.example/live.webm",
    "server.origins": ("https://chat.example",),
    "server.frame_ancestors": ("self",),
    "server.client_address": "x-forwarded-for",
    "server.trusted_proxies": ("10.0.0.0/8",),
    "bus.url": "redis://127.0.0.1:1/0",
    "bus.prefix": "another",
    "bus.data_dir": "/nonexistent/data",
    "rooms.like_kinds": ("heart", "star"),
    "rooms.hooks": "another.module:Hooks",
    "rooms.presend_url": "https://moderation.example/check",
    "rooms.presend_secret": SECRET,
    "auth.secret": SECRET,
    "auth.secret_before": SECRET[::-1],
    "auth.audience": "another",
    "auth.issuer": "another",
    "auth.guests": "read",
    "auth.kind_roles": ("admin",),
    "api.host": "127.0.0.3",
    "api.key": "another-key-of-the-api",
    "api.keys": (ApiKey("game", ("publish",), "a-key-of-the-game", per_s=5),),
    "webhooks.url": "https://backend.example/danmaku",
    "webhooks.secret": SECRET,
    "webhooks.events": ("message",),
    "node.run_dir": "/nonexistent/run",
}
"""Of those whose type does not say what else there is; `auth.public_keys` wants a file."""
BESIDE: Final[dict[str, dict[str, Any]]] = {
    "server.client_address": {"server.trusted_proxies": ("10.0.0.0/8",)},
    "server.trusted_proxies": {"server.client_address": "x-forwarded-for"},
    "auth.secret_before": {"auth.secret": SECRET},
}
"""What has to be changed with a key, because of rules that span keys."""


def another(path: str, than: Any, file: str = "") -> Any:
    """Another value of a key; `file` has public keys."""
    if path == "auth.public_keys":
        return file
    if path in OTHERS:
        return OTHERS[path]
    if isinstance(than, bool):
        return not than
    kind = msgspec.inspect.type_info(TYPES[path])
    if isinstance(kind, msgspec.inspect.LiteralType):
        return next(value for value in kind.values if value != than)
    assert isinstance(kind, msgspec.inspect.IntType), path
    less = path in ("limits.backlog_soft_bytes", "rooms.history_on_join") or than == kind.le
    return than - 1 if less else than + 1


def changed(config: Config, *paths: str, file: str = "") -> Config:
    """The same configuration with other values of these keys, and of those they need beside."""
    values = {name: msgspec.structs.asdict(getattr(config, name)) for name in SECTIONS}
    wanted: dict[str, Any] = {}
    for path in paths:
        wanted |= BESIDE.get(path, {})
    for path in paths:
        section, _, key = path.partition(".")
        wanted[path] = another(path, values[section][key], file)
    for path, value in wanted.items():
        section, _, key = path.partition(".")
        values[section][key] = value
    sections: dict[str, Any] = {name: SECTIONS[name](**values[name]) for name in SECTIONS}
    return Config(**sections)
