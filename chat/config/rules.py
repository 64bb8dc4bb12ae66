"""What several configured values must be together.

Rules. Pure functions from a whole configuration to what is wrong with it, or None, and the table
that says which keys each looks at. The first key is the one a problem is filed under.
"""

from collections.abc import Callable

from chat.config.sections import Config


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


def _the_page_may_connect(config: Config) -> str | None:
    url, origins = config.server.public_url, config.server.origins
    origin = "/".join(url.split("/", 3)[:3])
    if url and "*" not in origins and origin not in origins:
        return f'is not among server.origins, so the page there could not connect; add "{origin}"'
    return None


def _data_dir_is_ours(config: Config) -> str | None:
    if config.bus.data_dir and config.bus.url != "embedded":
        return 'only has a meaning with bus.url = "embedded"; another server keeps its own data'
    return None


def _hard_above_soft(config: Config) -> str | None:
    hard, soft = config.limits.backlog_hard_bytes, config.limits.backlog_soft_bytes
    return f"{hard} is less than limits.backlog_soft_bytes, {soft}" if hard < soft else None


def _total_above_hard(config: Config) -> str | None:
    total, hard = config.limits.backlog_total_bytes, config.limits.backlog_hard_bytes
    return f"{total} is less than limits.backlog_hard_bytes, {hard}" if total < hard else None


def _history_is_kept(config: Config) -> str | None:
    kept, shown = config.rooms.history, config.rooms.history_on_join
    return f"{kept} is less than rooms.history_on_join, {shown}" if kept < shown else None


def _someone_may_enter(config: Config) -> str | None:
    auth = config.auth
    if auth.guests == "refuse" and not auth.secret and not auth.public_keys:
        return '"refuse" without auth.secret or auth.public_keys leaves nobody who could connect'
    return None


def _a_secret_came_after(config: Config) -> str | None:
    if config.auth.secret_before and not config.auth.secret:
        return "only has a meaning with auth.secret, the one that signs now"
    return None


def _something_is_told(config: Config) -> str | None:
    if config.webhooks.url and not config.webhooks.events:
        return "name at least one event, or leave webhooks.url empty"
    return None


RULES: list[tuple[tuple[str, ...], Callable[[Config], str | None]]] = [
    (("api.port", "api.host", "server.host", "server.port"), _ports_differ),
    (("server.client_address", "server.trusted_proxies"), _someone_is_trusted),
    (("server.trusted_proxies", "server.client_address"), _trust_is_used),
    (("server.public_url", "server.origins"), _the_page_may_connect),
    (("bus.data_dir", "bus.url"), _data_dir_is_ours),
    (("limits.backlog_hard_bytes", "limits.backlog_soft_bytes"), _hard_above_soft),
    (("limits.backlog_total_bytes", "limits.backlog_hard_bytes"), _total_above_hard),
    (("rooms.history", "rooms.history_on_join"), _history_is_kept),
    (("auth.guests", "auth.secret", "auth.public_keys"), _someone_may_enter),
    (("auth.secret_before", "auth.secret"), _a_secret_came_after),
    (("webhooks.events", "webhooks.url"), _something_is_told),
]
