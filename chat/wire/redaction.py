"""What a `delete` or a `clear` takes back, and time.

Rules. Pure. It is said here once, for all who hold messages: rooms, what is pinned, clients.
"""

from collections.abc import Iterable

from msgspec import UNSET

from chat.wire.schema import Clear, Delete, Msg, Removed, Sequenced, State


def takes_back(told: Delete | Clear, seq: int, uid: str) -> bool:
    """Whether the message of `uid` at `seq` is taken back by what was told."""
    if isinstance(told, Delete):
        return seq == told.target
    return seq < told.seq and told.uid in (UNSET, uid)


def without(told: Delete | Clear, places: Iterable[Sequenced]) -> list[Sequenced]:
    """Places with only a mark where a message was taken back, or rules that had it pinned."""
    return [
        Removed(place.room, place.seq, place.ts) if _shows(place, told) else place
        for place in places
    ]


def _shows(place: Sequenced, told: Delete | Clear) -> bool:
    """Whether a place has the text of what is taken back."""
    if isinstance(place, Msg):
        return takes_back(told, place.seq, place.uid)
    if not isinstance(place, State) or place.seq > told.seq:
        return False
    match place.state.get("pinned"):
        case {"seq": int(seq), "uid": str(uid)}:
            return takes_back(told, seq, uid)
    return False


def redacted(places: list[Sequenced]) -> list[Sequenced]:
    """Places in order, without what those among them take back."""
    for told in [place for place in places if isinstance(place, Delete | Clear)]:
        places = without(told, places)
    return places


def unlapsed(places: list[Sequenced], now_ms: int) -> list[Sequenced]:
    """Places with only a mark where a message stood that is not shown any more."""
    return [
        Removed(place.room, place.seq, place.ts)
        if isinstance(place, Msg) and place.until and place.until <= now_ms
        else place
        for place in places
    ]
