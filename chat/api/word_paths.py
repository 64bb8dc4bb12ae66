"""Lists of words in the OpenAPI document: the bodies they take and give, and their paths.

Rules. As in `openapi`: the Structs describe themselves; here are sentences, and what goes where.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from chat.api.formats import Room
from chat.api.operations import actor, json_of, operation, reason, ref
from chat.policy.words import MAX_WORD, MAX_WORDS, Kind, WordList

MAX_TEXT: Final = 2_000
TAG: Final = "words"
Item = dict[str, Any]


class WordsOut(Struct, omit_defaults=True):
    """The words that hold, in a room or, without one, everywhere."""

    refuse: list[str]
    mask: list[str]
    shadow: list[str]
    room: str | None = None


class CheckIn(Struct, forbid_unknown_fields=True):
    """A text to try; with a `room`, that room's words hold beside those of everywhere."""

    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    room: Room | None = None


class HitOut(Struct):
    """A word that is in the text, as it stands on the list of everywhere or of the room."""

    word: str
    kind: Kind
    list: Literal["everywhere", "room"]


class CheckOut(Struct):
    """What would become of the text. `text` is what would be shown, were it not refused."""

    outcome: Literal["pass", "refuse", "mask", "shadow"]
    text: str
    hits: list[HitOut]


STRUCTS: Final = (WordList, WordsOut, CheckIn, CheckOut)


def paths(room: Item) -> dict[str, Item]:
    """All paths of words; `room` is the parameter of those in a room."""
    return {
        "/v1/words": _list("everywhere", "Words"),
        "/v1/rooms/{room}/words": {"parameters": [room], **_list("in a room", "RoomWords")},
        "/v1/words/check": {
            "post": operation(
                "checkText",
                "Try a text",
                "What a viewer would be told, and by which words. Nothing is published.",
                CheckOut,
                json_of(CheckIn),
                tag=TAG,
            )
        },
    }


def _list(where: str, name: str) -> Item:
    return {
        "put": operation(
            f"set{name}",
            f"Set the words that hold {where}",
            f"All of them, at most {MAX_WORDS:,} of at most {MAX_WORD} characters, in at most "
            "8 MiB. They hold on every node within a second. A word of letters is found as a "
            "whole word, with a * before or behind it also inside of others; Chinese, and what "
            "else has no spaces between words, anywhere.",
            WordsOut,
            json_of(WordList),
            parameters=[reason(), actor()],
            tag=TAG,
        ),
        "get": operation(
            f"get{name}",
            f"See the words that hold {where}",
            "What a text with one of them comes to: it is refused, or the word is masked with *, "
            "or the message is shown to its sender only.",
            WordsOut,
            tag=TAG,
        ),
    }


def narrow(schemas: Item) -> None:
    """Say of lists what may be on them; how long all of them may be together, no schema can."""
    words = {"type": ["array", "null"], "items": ref("Word"), "maxItems": MAX_WORDS}
    fields = schemas["WordList"]["properties"]
    fields |= dict.fromkeys(fields, words)
