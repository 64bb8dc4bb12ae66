"""The command `danmaku top`: nodes at a glance, live in the terminal.

Rules. Options in, one call, an exit status out; whatever takes long to import is imported inside.
Not a part of the server: it asks what anybody with a key may ask, `/metrics` and the rooms.
"""

from typing import Annotated, Final

import typer

from chat.client.desk import LOCAL, Key, fail
from chat.client.running import run

commands = typer.Typer()

MOST_NODES: Final = 64


@commands.command()
def top(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...", help="Where the nodes' HTTP APIs are.", show_default=LOCAL
        ),
    ] = None,
    key: Key = "",
    interval: Annotated[
        float, typer.Option(min=0.2, max=3600, metavar="SECONDS", help="Between two looks.")
    ] = 2.0,
    rooms: Annotated[
        int, typer.Option(min=0, max=100, help="So many of the fullest; 0: none.")
    ] = 10,
    once: Annotated[
        bool,
        typer.Option("--once", help="One frame, as where no terminal is; 1 if a node is away."),
    ] = False,
) -> None:
    """Watch nodes: viewers, messages, what is dropped, shards, Redis, the fullest rooms.

    Needs a key with the scopes metrics and read where the API has keys. q or Ctrl-C ends it.
    """
    from chat.client.link import ClientError
    from chat.client.terminal import plain
    from chat.client.top_nodes import address
    from chat.client.top_screen import top as watch

    key = key.strip()
    try:
        found = list(dict.fromkeys(address(url, key) for url in urls or [LOCAL]))
    except ClientError as error:
        fail(plain(str(error)), status=2)
    if len(found) > MOST_NODES:
        fail(f"at most {MOST_NODES} nodes at once", status=2)
    raise typer.Exit(run(watch(found, key, interval, rooms, once)))
