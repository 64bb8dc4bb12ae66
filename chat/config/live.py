"""Which keys may change while a node runs, and the one place that changes them.

Rules. A process has one Config, and its sections are shared by all who read them: a key in LIVE is
changed in place, so whoever reads it at each use has the new value, and who made something of it is
an *owner* and makes it anew when told. All other keys stay what they were at the start, whatever
the file says, so a configuration always says what is in force here. What a key's reason in
`config.toml` ends with says the same, and a test keeps them equal.

Danger: sections are frozen for everybody else. Who keeps a value of a live key instead of its
section, and is no owner, makes the mark a lie; the tests compare a shard that was told with one
that was started so.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from chat.config.sections import SECRETS, TYPES, URLS, Config, public_url

log = logging.getLogger(__name__)

LIVE: Final = frozenset(
    {
        *("server.public_url", "server.origins", "server.frame_ancestors", "server.drain_s"),
        "server.video",
        *("limits.text_chars", "limits.room_chars", "limits.rooms", "limits.rooms_opened_per_s"),
        *("limits.rooms_per_connection", "limits.commands_per_s", "limits.commands_burst"),
        *("limits.user_messages_per_s", "limits.user_messages_burst"),
        *("limits.address_messages_per_s", "limits.address_messages_burst"),
        *("rooms.history", "rooms.history_ttl_s", "rooms.linger_s"),
        *("rooms.like_kinds", "rooms.messages_per_s", "rooms.shown_per_s"),
        *("rooms.hooks_budget_ms", "rooms.hooks_failing"),
        *("rooms.presend_secret", "rooms.presend_timeout_ms", "rooms.presend_failing"),
        *("auth.secret", "auth.secret_before", "auth.public_keys", "auth.audience", "auth.issuer"),
        *("auth.guests", "auth.guest_names", "auth.kind_roles"),
        *("api.key", "api.keys", "api.open_per_s"),
        *("api.body_bytes", "api.body_idle_s", "api.stream_idle_s"),
        *("webhooks.secret", "webhooks.timeout_s"),
        *("log.level", "log.format"),
    }
)
"""Keys that a reload applies. Any other needs a restart."""
SHOWN_CHARS: Final = 200
"""Of a value: those of all keys, before and after, fit a message of the control socket."""


def value(config: Config, path: str) -> Any:
    """What a key is."""
    section, _, key = path.partition(".")
    return getattr(getattr(config, section), key)


def differing(one: Config, other: Config) -> list[str]:
    """The keys in which two configurations differ, in the file's order."""
    return [path for path in TYPES if value(one, path) != value(other, path)]


def printable(config: Config, path: str) -> str:
    """A key's value as it may be shown."""
    found = value(config, path)
    if path in URLS:
        return repr(public_url(found))
    if path in SECRETS:
        return "***" if found else "none"
    shown = repr(list(found) if isinstance(found, tuple) else found)
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[: SHOWN_CHARS - 1]}…"


class Live:
    """One process' configuration, and who has to be told when it changes."""

    def __init__(self, config: Config, *owners: Callable[[], None]) -> None:
        self.config = config
        self.owners = list(owners)

    def take(self, new: Config) -> list[str]:
        """Have the live keys be what they are in `new`; which of them changed.

        An owner that fails is logged and raises RuntimeError once all others were told.
        """
        changed = [path for path in differing(self.config, new) if path in LIVE]
        for path in changed:
            section, _, key = path.partition(".")
            msgspec.structs.force_setattr(getattr(self.config, section), key, value(new, path))
        failed = 0
        for apply in self.owners if changed else ():
            try:
                apply()
            except Exception:
                log.exception("a part of this process did not take the new configuration")
                failed += 1
        if failed:
            raise RuntimeError(f"{failed} of its parts failed; its log says why")
        return changed
