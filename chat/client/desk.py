"""A moderator's commands at a terminal: `danmaku mute`, `ban`, `delete`, `words`, `audit`…

Rules. Each is one order to the HTTP API (`backend.py`), and one line of what is true now. What may
be said is the API's to know: a value goes there as it was typed, and what is wrong with it comes
back in its words. Exit statuses are those of every command: 0 done, 1 it did not work, 2 it was
asked for wrongly. Whatever takes long to import is imported inside a function.

Danger: what comes back has strangers' text in it, so it goes through `plain`.
"""

import getpass
import json as jsons
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from chat.client.backend import Backend

commands = typer.Typer()

LOCAL: Final = "http://127.0.0.1:8001"
NUMBERS: Final = frozenset({"slow_s", "no_repeats_s", "pinned", "messages_per_s", "shown_per_s"})
SWITCHES: Final = frozenset({"merge_duplicates", "join_notices"})
"""Settings whose values are numbers, or true and false; another is a text, and `owners` a list."""
KINDS: Final = ("refuse", "mask", "shadow")
ACTOR_CHARS: Final = 32

Uid = Annotated[str, typer.Argument(help="The user's id; with --address an address or network.")]
User = Annotated[str, typer.Argument(help="The user's id.")]
Room = Annotated[str, typer.Argument(help="A room's name, such as lobby or live:42.")]
Where = Annotated[str | None, typer.Option("--room", help="In this room; else everywhere.")]
Seconds = Annotated[int | None, typer.Option(help="For so long; else for good.")]
Reason = Annotated[str | None, typer.Option(help="Shown to whom it is about, and in the audit.")]
Why = Annotated[str | None, typer.Option("--reason", help="For the audit.")]
Address = Annotated[bool, typer.Option("--address", help="It is an address or a network.")]
Api = Annotated[str, typer.Option(help="Where the HTTP API is.")]
Key = Annotated[
    str,
    typer.Option(envvar="DANMAKU_API_KEY", help="A key of the API's.", show_default=False),
]


class WordsAction(StrEnum):
    """What `words` does."""

    SHOW = "show"
    SET = "set"
    ADD = "add"
    REMOVE = "remove"
    CHECK = "check"


def fail(message: str, *details: str, status: int = 1) -> NoReturn:
    """Say what is wrong on standard error, and end."""
    print("\n  ".join([f"danmaku: {message}", *details]), file=sys.stderr)
    raise typer.Exit(status)


@contextmanager
def open_api(api: str, key: str) -> Iterator["Backend"]:
    """The API; what it refuses ends the command with a sentence."""
    from chat.client.backend import Backend, Refused
    from chat.client.link import ClientError
    from chat.client.terminal import plain

    if isinstance(sys.stdout, TextIOWrapper):  # what a terminal cannot show must not end this
        sys.stdout.reconfigure(errors="replace")
    try:
        with Backend(api, key, whoami()) as backend:
            yield backend
    except Refused as refused:
        wrong = 2 if refused.status == 400 else 1
        fail(plain(str(refused)), *map(plain, refused.problems), status=wrong)
    except ClientError as error:
        fail(plain(str(error)))


def whoami() -> str:
    """Who is logged in, as the audit will name them; "" where nobody knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
    return name[:ACTOR_CHARS] if name.isprintable() else ""


def say(text: str) -> None:
    """A line of output, in which nothing steers the terminal."""
    from chat.client.terminal import plain

    print(plain(text))


def place(room: str | None) -> tuple[str, ...]:
    return () if room is None else ("rooms", room)


def ruled(subject: str, state: str, room: str | None, until: int | None = None) -> str:
    """`u7 is muted in lobby until …`; `until` in milliseconds since 1970, 0 for good."""
    where = "everywhere" if room is None else f"in {room}"
    ends = "" if until is None else f" until {day(until)}" if until else " for good"
    return f"{subject} is {state} {where}{ends}"


def day(ts: int) -> str:
    """Local date and time of milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(ts / 1000).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return f"{ts} ms"


def order(seconds: int | None, reason: str | None) -> dict[str, Any]:
    given = {"seconds": seconds, "reason": reason}
    return {name: value for name, value in given.items() if value is not None}


@commands.command()
def mute(
    uid: User, room: Where = None, seconds: Seconds = None, reason: Reason = None,
    api: Api = LOCAL, key: Key = "",
) -> None:  # fmt: skip
    """Let a user not type, in a room or everywhere."""
    with open_api(api, key) as backend:
        now = backend.ask("PUT", *place(room), "mutes", uid, body=order(seconds, reason))
    say(ruled(uid, "muted", room, now["until"]))


@commands.command()
def unmute(
    uid: User, room: Where = None, reason: Why = None, api: Api = LOCAL, key: Key = ""
) -> None:
    """Let a user type again."""
    with open_api(api, key) as backend:
        backend.ask("DELETE", *place(room), "mutes", uid, query={"reason": reason})
    say(ruled(uid, "not muted", room))


@commands.command()
def ban(
    uid: Uid, room: Where = None, seconds: Seconds = None, reason: Reason = None,
    address: Address = False, api: Api = LOCAL, key: Key = "",
) -> None:  # fmt: skip
    """Send a user out of a room, or out of all and away, and keep them out."""
    path = banned(uid, room, address)
    with open_api(api, key) as backend:
        now = backend.ask("PUT", *path, body=order(seconds, reason))
    say(ruled(uid, "banned", room, now["until"]))


@commands.command()
def unban(
    uid: Uid, room: Where = None, reason: Why = None,
    address: Address = False, api: Api = LOCAL, key: Key = "",
) -> None:  # fmt: skip
    """Let a user in again."""
    path = banned(uid, room, address)
    with open_api(api, key) as backend:
        backend.ask("DELETE", *path, query={"reason": reason})
    say(ruled(uid, "not banned", room))


def banned(uid: str, room: str | None, address: bool) -> tuple[str, ...]:
    """The path of a ban."""
    if not address:
        return (*place(room), "bans", uid)
    if room is not None:
        raise typer.BadParameter("an address is banned everywhere, so --room has no place here")
    return ("bans", "addresses", uid)


@commands.command()
def kick(
    uid: User, room: Where = None, reason: Reason = None, api: Api = LOCAL, key: Key = ""
) -> None:
    """Send a user out for a minute: of a room, or by closing all connections."""
    with open_api(api, key) as backend:
        if room is None:
            now = backend.ask("DELETE", "users", uid, "connections", query={"reason": reason})
        else:
            backend.ask("POST", "rooms", room, "kicks", body={"uid": uid} | order(None, reason))
    if room is not None:
        say(f"{uid} is out of {room} for a minute")
        return
    all_of = "" if now["complete"] else f"; {now['answered']} of {now['known']} shards answered"
    count = f"{now['count']} connection{'' if now['count'] == 1 else 's'}"
    say(f"{uid} had {count}, and is away for a minute{all_of}")


@commands.command()
def delete(room: Room, seq: int, reason: Why = None, api: Api = LOCAL, key: Key = "") -> None:
    """Take a message back."""
    with open_api(api, key) as backend:
        backend.ask("DELETE", "rooms", room, "messages", str(seq), query={"reason": reason})
    say(f"message {seq} of {room} is taken back")


@commands.command()
def clear(
    room: Room,
    uid: Annotated[str | None, typer.Option(help="Only this user's messages.")] = None,
    reason: Why = None,
    api: Api = LOCAL,
    key: Key = "",
) -> None:
    """Take all messages of a room back, or one user's."""
    with open_api(api, key) as backend:
        backend.ask("DELETE", "rooms", room, "messages", query={"uid": uid, "reason": reason})
    say(f"all messages {'' if uid is None else f'of {uid} '}in {room} are taken back")


@commands.command()
def settings(
    room: Room,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="As slow_s=10; without a value: none."),
    ] = None,
    reason: Why = None,
    api: Api = LOCAL,
    key: Key = "",
) -> None:
    """Show a room's settings, after changing those that are given.

    slow_s, silence, no_repeats_s, min_role, pinned (a message's number), announcement,
    messages_per_s, shown_per_s, merge_duplicates and join_notices (true or false), owners (uids
    with commas).
    """
    change = dict(parse_setting(one) for one in changes or ())
    with open_api(api, key) as backend:
        if change:
            change |= order(None, reason)
            now = backend.ask("PATCH", "rooms", room, "settings", body=change)
        else:
            now = backend.ask("GET", "rooms", room, "settings")
    for name, value in now.items():
        if name not in ("room", "words"):  # those are another command's
            say(f"{name} = {jsons.dumps(value, ensure_ascii=False)}")


def parse_setting(text: str) -> tuple[str, Any]:
    """`slow_s=10` as a key and a value; nothing behind the sign is none."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE, as slow_s=10 is")
    if name == "owners":
        return name, [uid for uid in value.split(",") if uid]
    if name in NUMBERS and value.isascii() and value.isdigit():
        return name, int(value)
    if name in SWITCHES and value in ("true", "false"):
        return name, value == "true"
    return name, value or None


@commands.command()
def words(
    action: WordsAction,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="set FILE; add or remove KIND WORD...; check TEXT."),
    ] = None,
    room: Where = None,
    reason: Why = None,
    api: Api = LOCAL,
    key: Key = "",
) -> None:
    """Show or change lists of words, or see what would become of a text.

    A FILE is what `show` writes, {"refuse": [...], "mask": [...], "shadow": [...]}; - is standard
    input. Of two who add words at once, the later may undo the earlier.
    """
    given = arguments or []
    with open_api(api, key) as backend:
        match action, given:
            case WordsAction.SHOW, []:
                print(jsons.dumps(lists_of(backend, room), ensure_ascii=False, indent=1))
            case WordsAction.SET, [file]:
                say(put_words(backend, room, read_lists(file), reason))
            case ((WordsAction.ADD | WordsAction.REMOVE), [kind, _, *_]) if kind in KINDS:
                say(change_words(backend, room, action, kind, given[1:], reason))
            case WordsAction.CHECK, [text]:
                check_text(backend, room, text)
            case _:
                raise typer.BadParameter(
                    "it is `words show`, `set FILE`, `add KIND WORD...`, `remove KIND WORD...` or "
                    f"`check TEXT`; a KIND is one of {', '.join(KINDS)}"
                )


def lists_of(backend: "Backend", room: str | None) -> dict[str, list[str]]:
    found = backend.ask("GET", *place(room), "words")
    return {kind: found[kind] for kind in KINDS}


def put_words(backend: "Backend", room: str | None, lists: Any, reason: str | None) -> str:
    now = backend.ask("PUT", *place(room), "words", body=lists, query={"reason": reason})
    counts = ", ".join(f"{kind} {len(now[kind])}" for kind in KINDS)
    return f"words {'everywhere' if room is None else f'in {room}'}: {counts}"


def read_lists(file: str) -> Any:
    """A file's JSON; what is in it the API judges."""
    try:
        return jsons.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        fail(f"{file} is not JSON: {error}", status=2)


def change_words(
    backend: "Backend",
    room: str | None,
    action: WordsAction,
    kind: str,
    given: list[str],
    reason: str | None,
) -> str:
    lists = lists_of(backend, room)
    if action is WordsAction.ADD:
        lists[kind] += [word for word in dict.fromkeys(given) if word not in lists[kind]]
        return put_words(backend, room, lists, reason)
    missing = [word for word in given if word not in lists[kind]]
    if missing:
        fail(f"not on the list {kind}: {', '.join(missing)}")
    lists[kind] = [word for word in lists[kind] if word not in given]
    return put_words(backend, room, lists, reason)


def check_text(backend: "Backend", room: str | None, text: str) -> None:
    body = {"text": text} | ({} if room is None else {"room": room})
    found = backend.ask("POST", "words", "check", body=body)
    say(f"{found['outcome']}: {found['text']}")
    for hit in found["hits"]:
        say(f"  {hit['kind']} {hit['word']} ({hit['list']})")


@commands.command()
def audit(
    hours: Annotated[
        float, typer.Option(min=0, help="How far to look back; 0: to the start.")
    ] = 24,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    api: Api = LOCAL,
    key: Key = "",
) -> None:
    """Show what moderators did, oldest first."""
    since = time.time() - hours * 3600
    after = f"{int(since * 1000)}-0" if hours and since > 0 else ""
    with open_api(api, key) as backend:
        for entry in backend.pages("entries", "audit", after=after):
            if json:
                print(jsons.dumps(entry, ensure_ascii=False))
            else:
                say(audit_line(entry))


def audit_line(entry: dict[str, Any]) -> str:
    """When, what, to whom or what, where, for how long, why, by whom."""
    whom = next((str(entry[one]) for one in ("uid", "address", "seq") if one in entry), "")
    parts = [day(entry["ts"]), entry["action"], whom]
    if "room" in entry:
        parts.append(f"in {entry['room']}")
    if "seconds" in entry:
        parts.append(f"for {entry['seconds']} s")
    changes = (entry[name] for name in ("settings", "owners", "words") if name in entry)
    parts += [jsons.dumps(change, ensure_ascii=False) for change in changes]
    if entry.get("reason"):
        parts.append(f"({entry['reason']})")
    actor, name = entry.get("actor", ""), entry.get("name", "")
    by = actor if name in ("", actor) else f"{name} ({actor})"
    parts.append(f"by {by}, {entry.get('role', '')}, {entry.get('via', '')}")
    return " ".join(filter(None, parts))
