"""Controls of rooms: entries of a partition's stream that are for shards and take no place.

Rules. What one says is its caller's; that one comes along with what is said in the room, in order,
is the stream's. It is in no history: who was not there has missed it.
"""

from collections.abc import Mapping

from chat.bus.entries import Control, pack
from chat.bus.servers import Request
from chat.bus.store import Store


async def tell_rooms(store: Store, controls: Mapping[str, Control]) -> list[str]:
    """Tell all shards of these rooms; the rooms of which they could not be told, for all that is
    known: a server that does not answer may have done it."""
    asked = [_told(store, room, control) for room, control in controls.items()]
    replies = await store.servers.ask_each(asked)
    both = zip(controls, replies, strict=True)
    return [room for room, reply in both if isinstance(reply, Exception)]


def _told(store: Store, room: str, control: Control) -> Request:
    stream = store.keys.fanout(store.keys.partition(room))
    fields = {"r": room, "p": "", "m": pack(control)}
    kept = store.retention.fanout_entries
    return stream, lambda pipe, on: pipe.xadd(stream, fields, maxlen=kept, approximate=True)
