"""What a single configured value must be, beyond its type and range.

Lives here: functions from a value to what is wrong with it, or None, and the table that says which
key each belongs to. Must not: look at a second key (those rules are in `rules.py`), nor at the
machine, but for a file that a value names and a node cannot serve without.
The one danger: URL, secret and key must never appear in what is returned.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from chat.config import busurl
from chat.config.keyfiles import BadKeys, read_keys
from chat.config.words import shown
from shard.addresses import network

SECRET_BYTES = 32  # RFC 7518, 3.2: an HS256 key is at least as long as the hash
MOST_ROLE = 32
"""Characters of a role; tokens with a longer one are refused."""

TAKEN = {
    "/healthz": "the health check",
    "/readyz": "the readiness check",
    "/sse": "the event stream",
    "/sub": "goim's clients",
    "/connection/websocket": "the Centrifugal protocol",
}
"""Paths of the WebSocket's port with a meaning of their own."""


def check_host(host: str) -> str | None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
            return f"expected an address or a host name without a port, got {shown(host)}"
    return None


def check_path(path: str) -> str | None:
    if not re.fullmatch(r"/[!-~]*", path) or set("?#%") & set(path):
        return f'expected a path like "/ws", got {shown(path)}'
    return f"is taken by {TAKEN[path]}" if path in TAKEN else None


def check_goim_room(template: str) -> str | None:
    if re.fullmatch(r"[\w:.-]*\{\}[\w:.-]*", template):
        return None
    return (
        f'expected a room\'s name with {{}} for a number, like "live:{{}}", got {shown(template)}'
    )


def check_origins(origins: tuple[str, ...]) -> str | None:
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            return f'expected "*" or scheme://host[:port] in lower case, got {shown(origin)}'
    return None


def check_frame_ancestors(ancestors: tuple[str, ...]) -> str | None:
    for one in ancestors:
        if one not in ("*", "self") and not _is_origin(one):
            return f'expected "self", "*" or scheme://host[:port] in lower case, got {shown(one)}'
    return None


def check_public_url(url: str) -> str | None:
    # It goes into a page and its policy, where these mean something.
    if not url or (
        re.fullmatch(r"https?://[^/@]+(/[A-Za-z0-9._~/-]*)?", url)
        and _is_origin("/".join(url.split("/", 3)[:3]))
    ):
        return None
    return (
        f"expected a URL like https://chat.example or https://site.example/chat, got {shown(url)}"
    )


def check_video(url: str) -> str | None:
    # It goes into a page, its origin into the page's policy.
    if not url or (
        re.fullmatch(r"https?://[^/@]+/[A-Za-z0-9._~%!$&()*+,=:@/?-]*", url)
        and _is_origin("/".join(url.split("/", 3)[:3]))
    ):
        return None
    return f"expected a URL like https://site.example/live.webm, got {shown(url)}"


def _is_origin(origin: str) -> bool:
    # As browsers write it (RFC 6454, 6.1): lower case, no path, no slash at the end. Any other
    # spelling would be accepted here and then match nobody.
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?", origin):
        return False
    try:
        return urlsplit(origin).port != 0
    except ValueError:
        return False


def check_proxies(proxies: tuple[str, ...]) -> str | None:
    for proxy in proxies:
        try:
            network(proxy)
        except ValueError:
            hint = _enclosing(proxy)
            return f'expected addresses and networks like "10.0.0.0/8", got {shown(proxy)}{hint}'
    return None


def _enclosing(proxy: str) -> str:
    """A hint for an address that was given the length of its network."""
    try:
        return f"; did you mean {shown(str(ipaddress.ip_network(proxy, strict=False)))}?"
    except ValueError:
        return ""


def check_url(url: str) -> str | None:
    if url == "embedded":
        return None
    try:
        busurl.parse(url)
    except busurl.BadUrl as bad:
        return str(bad)
    return None


def check_prefix(prefix: str) -> str | None:
    # Braces would move Redis Cluster's hash tag away from the partition number.
    if re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", prefix):
        return None
    return f"expected at most 64 letters, digits or _.:- characters, got {shown(prefix)}"


def check_secret(secret: str) -> str | None:
    size = len(secret.encode())
    if not size or size >= SECRET_BYTES:
        return None
    return f"expected at least {SECRET_BYTES} bytes, got {size}"


def check_public_keys(path: str) -> str | None:
    try:
        if path:
            read_keys(path)
    except BadKeys as bad:
        return f"{shown(path)} {bad}"
    return None


def check_kind_roles(roles: tuple[str, ...]) -> str | None:
    """Each a word that a token may have as its role."""
    for role in roles:
        if not role.isidentifier() or len(role) > MOST_ROLE:
            return f"{shown(role)} is no role that a token can have: expected a word"
        if role == "backend":
            return '"backend" is who speaks by the API, which may send any kind'
    return None


def check_key(key: str) -> str | None:
    # It travels in an HTTP header, which carries neither spaces within a token nor other scripts.
    if re.fullmatch(r"[!-~]*", key):
        return None
    return "expected visible ASCII characters without spaces"


def check_hooks(path: str) -> str | None:
    if not path or re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", path):
        return None
    return f'expected "module:Class", got {shown(path)}'


def check_presend_url(url: str) -> str | None:
    return _check_http(url, "https://moderation.example/check")


def check_webhooks_url(url: str) -> str | None:
    return _check_http(url, "https://backend.example/danmaku")


def _check_http(url: str, example: str) -> str | None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not url or (sound and re.fullmatch(r"[!-~]*", url) and not parts.fragment):
        return None
    return f"expected a URL like {example}"


def check_run_dir(path: str) -> str | None:
    return "expected a path without NUL" if "\0" in path else None


CHECKS: dict[str, Callable[[Any], str | None]] = {
    "server.host": check_host,
    "api.host": check_host,
    "server.path": check_path,
    "server.goim_room": check_goim_room,
    "server.public_url": check_public_url,
    "server.video": check_video,
    "server.origins": check_origins,
    "server.frame_ancestors": check_frame_ancestors,
    "server.trusted_proxies": check_proxies,
    "bus.url": check_url,
    "bus.prefix": check_prefix,
    "auth.secret": check_secret,
    "auth.secret_before": check_secret,
    "auth.public_keys": check_public_keys,
    "auth.kind_roles": check_kind_roles,
    "api.key": check_key,
    "rooms.hooks": check_hooks,
    "rooms.presend_url": check_presend_url,
    "rooms.presend_secret": check_secret,
    "webhooks.url": check_webhooks_url,
    "webhooks.secret": check_secret,
    "node.run_dir": check_run_dir,
}
