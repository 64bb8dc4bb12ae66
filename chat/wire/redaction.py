"""What a `delete` or a `clear` takes back.

Rules. Pure. It is said here once, for all who hold messages: rooms, what is pinned, clients.
"""

from collections.abc import Iterable

from msgspec import UNSET

from chat.wire.schema import Clear, Delete, Msg, Removed, Sequenced


def takes_back(told: Delete | Clear, seq: int, uid: str) -> bool:
    """Whether the message of `uid` at `seq` is taken back by what was told."""
    if isinstance(told, Delete):
        return seq == told.target
    return seq < told.seq and told.uid in (UNSET, uid)


def without(told: Delete | Clear, places: Iterable[Sequenced]) -> list[Sequenced]:
    """Places with only a mark where a message was taken back."""
    return [
        Removed(place.room, place.seq, place.ts)
        if isinstance(place, Msg) and takes_back(told, place.seq, place.uid)
        else place
        for place in places
    ]


def redacted(places: list[Sequenced]) -> list[Sequenced]:
    """Places in order, without what those among them take back."""
    for told in [place for place in places if isinstance(place, Delete | Clear)]:
        places = without(told, places)
    return places
