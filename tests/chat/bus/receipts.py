"""Publishing to a store in tests, and what it says became of it."""

from chat.bus.connect import StoreError
from chat.bus.store import Outgoing, Receipt, Store
from chat.wire.schema import Msg, Sequenced


async def put(
    store: Store, *batch: Outgoing, epoch: str = "e1", patience_s: float = 0.0
) -> list[Receipt]:
    receipts = await store.publish(batch, epoch, 1_000, patience_s)
    return whole(receipts)


def whole(outcomes: list[Receipt | StoreError | None]) -> list[Receipt]:
    """Receipts for all of them."""
    receipts = [one for one in outcomes if isinstance(one, Receipt)]
    assert receipts == outcomes
    return receipts


def places(receipts: list[Receipt]) -> list[tuple[str, int, bool]]:
    return [(one.epoch, one.seq, one.duplicate) for one in receipts]


def texts(places: list[Sequenced]) -> list[tuple[int, str]]:
    messages = [place for place in places if isinstance(place, Msg)]
    assert messages == places
    return [(message.seq, message.text) for message in messages]
