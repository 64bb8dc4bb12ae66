"""The command `danmaku`: options in, one call each, an exit status out.

Rules. A command translates its options, calls the module that does the work, and says what went
wrong in words; no work is done here. Whatever takes long to import is imported inside a command,
so that `--help` answers at once. What a person can mend is a line on standard error and never a
traceback. Exit statuses: 0 done, 1 it did not work, 2 it was asked for wrongly, 130 Ctrl-C.

The one danger: local variables hold secrets and tokens, so typer's tracebacks with locals stay off.
"""

import asyncio
import os
import platform
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chat import __version__
from chat.client import top
from chat.client.desk import commands, fail
from chat.client.running import run

if TYPE_CHECKING:
    from chat.config.sections import Config
    from chat.wire.schema import Ack

ANSWER_S = 30.0
"""How long `send` tries: a few attempts, each with a back-off or a `retry_after`."""
FIRST_TRIES = 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Mode(StrEnum):
    """How a danmaku crosses the stage; the wire's own words."""

    SCROLL = "scroll"
    TOP = "top"
    BOTTOM = "bottom"
    REVERSE = "reverse"


COLORS = {
    "white": 0xFFFFFF,
    "red": 0xFF0000,
    "orange": 0xFF8000,
    "yellow": 0xFFFF00,
    "green": 0x00CC00,
    "cyan": 0x00FFFF,
    "blue": 0x3080FF,
    "purple": 0xB040FF,
    "pink": 0xFF80C0,
}
"""Shades that can be read over a picture, which pure blue and dark ones cannot."""


def parse_color(text: str) -> int:
    """`#ff0000`, `ff0000` or a name, as 0xRRGGBB."""
    if text in COLORS:
        return COLORS[text]
    if not re.fullmatch("#?[0-9a-fA-F]{6}", text):
        names = ", ".join(COLORS)
        raise typer.BadParameter(f"{text!r} is neither #rrggbb nor a name: {names}")
    return int(text.removeprefix("#"), 16)


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration; else ./config.toml if there is one."),
]
Room = Annotated[str, typer.Argument(help="A room's name, such as lobby or live:42.")]
Url = Annotated[str, typer.Option(help="The node's WebSocket address.")]
Token = Annotated[str, typer.Option(help="Who you are; without it you are a guest.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535)]
LOCAL = "ws://127.0.0.1:8000/ws"


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"danmaku {__version__}")
        raise typer.Exit


@app.callback()
def danmaku(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Say which this is."),
    ] = False,
) -> None:
    """A real-time danmaku (bullet-screen) and live-chat server."""


@app.command()
def serve(
    config: ConfigFile = None,
    shards: Annotated[
        int | None, typer.Option(min=0, max=1024, help="Processes for viewers; 0: one per core.")
    ] = None,
    port: Port = None,
    api_port: Port = None,
) -> None:
    """Run a node. Options win over the environment, that over the file."""
    options = {"SERVER_SHARDS": shards, "SERVER_PORT": port, "API_PORT": api_port}
    given = {f"DANMAKU_{key}": str(value) for key, value in options.items() if value is not None}
    file = Path(config or "config.toml").absolute()
    path = file if config or file.is_file() else None
    environ = os.environ | given

    from chat.config.load import ConfigError, load_config, sound_part
    from chat.ops import logs

    try:
        loaded = load_config(path, environ, waits=True)
    except ConfigError as error:
        sound = sound_part(path, environ) or sound_part(None, environ)
        if sound and sound.log.format == "json":
            logs.set_up(sound.log)
        fail("the configuration is refused", *error.problems, status=2)

    from chat import node

    logs.set_up(loaded.log)
    again = partial(load_config, path, environ)
    raise typer.Exit(node.serve(loaded, again, str(path or "the environment")))


@app.command()
def reload(config: ConfigFile = None, port: Port = None) -> None:
    """Have the node that runs here read its configuration again: what changed, and what needs a
    restart. Exit status 3: something needs one; 2: it was refused, and nothing is changed."""
    from chat.ops import reload as asked

    raise typer.Exit(asked.reload(*where(config), port))


@app.command()
def send(
    room: Room,
    text: str,
    url: Url = LOCAL,
    token: Token = "",
    color: Annotated[
        int | None, typer.Option(parser=parse_color, metavar="COLOR", help="#rrggbb or a name.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="How it crosses the stage.")] = Mode.SCROLL,
) -> None:
    """Say something in a room, and wait until the node has it."""
    from chat.client.client import Client
    from chat.client.questions import Unanswered
    from chat.wire.schema import WHITE

    shade = WHITE if color is None else color

    async def say() -> "Ack":
        client = Client(url, room, token=token, listen=False, first_tries=FIRST_TRIES)
        try:
            async with asyncio.timeout(ANSWER_S), client:
                return await client.send(room, text, color=shade, mode=mode.value)
        except TimeoutError:
            raise Unanswered(f"no acknowledgement within {ANSWER_S:.0f} s") from None

    ack = run(say())
    print(f"{ack.room} #{ack.seq} {ack.id}")


@app.command()
def tail(
    room: Room,
    url: Url = LOCAL,
    token: Token = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Watch a room: what was said last, then what is being said."""
    from chat.client import terminal as terminal

    run(terminal.tail(url, room, token, json))


@app.command("config")
def default_config() -> None:
    """Print the default configuration, with the reason for each value."""
    from importlib import resources

    print(resources.files("chat.config").joinpath("config.toml").read_text("utf-8"), end="")


@app.command()
def doctor(
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at this machine: what is in a node's way, and what to do about it; 1 if there is."""
    from chat.ops.doctor import diagnose
    from chat.ops.findings import as_json, exit_code, render

    findings = diagnose(load(config))
    if json:
        print(as_json(findings))
    else:
        render(findings)
    raise typer.Exit(exit_code(findings))


@app.command()
def archive(
    to: Annotated[Path, typer.Option(metavar="FILE", help="FILE.jsonl or FILE.sqlite.")],
    rooms: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOMS", help="Only these, as live:42 or live:*; repeatable."),
    ] = None,
    group: Annotated[
        str,
        typer.Option(metavar="NAME", help="Share the work with other files of this group."),
    ] = "",
    config: ConfigFile = None,
) -> None:
    """Keep everything that is said in a file, until Ctrl-C; goes on where the file ends."""
    loaded = load(config)
    for one in rooms or ():
        check_rooms(one, loaded.limits.room_chars)

    from chat.ops import logs
    from chat.ops.rundir import bus_of_node
    from chat.workers import archive as archive
    from chat.workers.filelock import CannotArchive

    logs.set_up(loaded.log)
    logs.name("archive", platform.node())
    url = loaded.bus.url
    if url == "embedded":
        found = bus_of_node(loaded.node.run_dir, loaded.server.port)
        if found is None:
            fail(f"no node runs here on port {loaded.server.port}; start it, or set bus.url")
        url = found
    try:
        archive.archive(loaded, url, to, rooms or (), group)
    except CannotArchive as why:
        fail(str(why))


@app.command()
def token(
    uid: Annotated[str, typer.Argument(help="The user's id.")],
    name: Annotated[str, typer.Option(help="The name shown; else the id.")] = "",
    role: Annotated[str, typer.Option(help="user, vip, moderator, admin or a word of yours.")] = "",
    room: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOM=ROLE", help="A role in a room, or in live:*; repeatable."),
    ] = None,
    avatar: Annotated[str, typer.Option(metavar="URL")] = "",
    level: Annotated[int | None, typer.Option()] = None,
    badge: Annotated[list[str] | None, typer.Option(help="Repeatable.")] = None,
    ttl: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Valid for so long.")] = 3600,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEMFILE", help="Sign with this private key, not with auth.secret."),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Make a token signed with auth.secret or a private key, for trying things out."""
    auth = load(config).auth
    roles = dict(parse_role(one) for one in room or ())
    said: dict[str, Any] = {
        "name": name,
        "role": role,
        "rooms": roles,
        "avatar": avatar,
        "badges": badge,
    }
    claims = {"sub": uid} | {claim: value for claim, value in said.items() if value}
    if level is not None:
        claims["level"] = level

    from chat.policy import identity, tokens

    try:
        made = tokens.sign(claims, ttl, auth, key.read_bytes() if key else b"")
    except identity.Refused as refused:
        fail(str(refused), status=2)
    except tokens.CannotSign as why:
        fail(str(why))
    except OSError as error:
        fail(f"{key} cannot be read: {error.strerror}")
    print(made)


def check_rooms(text: str, most: int) -> None:
    """Raises BadParameter for what names no room and is no beginning of names, as `live:*` is."""
    from chat.policy.text import room_problem

    begins = text.removesuffix("*")
    # What names begin with may itself be none: "" is.
    if room_problem(text if begins == text else f"{begins}-", most + 1):
        raise typer.BadParameter(f"{text!r} is no room, as live:42 is, nor many, as live:* is")


def parse_role(text: str) -> tuple[str, str]:
    """`live:1=moderator` as a room and a role."""
    room, equals, role = text.rpartition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not ROOM=ROLE, as live:1=moderator is")
    return room, role


def load(path: Path | None) -> "Config":
    """The configuration."""
    from chat.config.load import ConfigError, load_config

    try:
        return load_config(*where(path), waits=True)
    except ConfigError as error:
        fail("the configuration is refused", *error.problems, status=2)


app.add_typer(top.commands)


def where(path: Path | None) -> tuple[Path | None, Mapping[str, str]]:
    """The file of a configuration, if there is one, and the environment."""
    here = Path("config.toml")
    return path or (here if here.is_file() else None), os.environ


app.add_typer(commands)  # behind those above in the help


def main() -> None:
    """The entry point."""
    app(prog_name="danmaku")


if __name__ == "__main__":
    main()
