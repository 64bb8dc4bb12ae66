"""Records to put into archives."""

from chat.wire.schema import Clear, Delete, Msg
from chat.workers.records import Record


def said(seq: int, text: str = "x", uid: str = "u", entry: str = "", ts: int = 0) -> Record:
    event = Msg("r", seq, f"e-{seq}", uid, "n", text, 1, "scroll", 25, ts or 1_000 + seq)
    return Record("0", entry or f"{seq}-0", "e", event)


def deleted(seq: int, target: int) -> Record:
    return Record("0", f"{seq}-0", "e", Delete("r", seq, target, 1_000 + seq))


def cleared(seq: int, uid: str = "") -> Record:
    event = Clear("r", seq, 1_000 + seq, uid) if uid else Clear("r", seq, 1_000 + seq)
    return Record("0", f"{seq}-0", "e", event)
