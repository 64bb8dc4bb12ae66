"""Connections in other people's protocols: bytes in, their replies or packets out.

Rules. As in `wires`, and nothing of the server: the Centrifugal client protocol is read by the
codec of its Python client, goim's packets as the tests read them. `opened()` is called when the
upgrade is answered, because there the client speaks first.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from centrifuge.codecs import _JsonCodec, _ProtobufCodec
from websockets.http11 import Response

from tests.chat.goimclient import packet, packets
from tests.faults.wires import Event, Say, Take, WebSocket

STAYS_OUT: Final = frozenset({3004, *range(3500, 4000)})
"""Closes of the Centrifugal protocol that blame a client which does no wrong, or tell of a bug."""


class Foreign(WebSocket):
    """What both have in common."""

    def __init__(
        self,
        url: str,
        binary: bool,
        subprotocol: str,
        take: Take,
        odd: Say,
        over: Callable[[], None],
        opened: Callable[[], None],
    ) -> None:
        super().__init__(url, binary, False, take, odd, over, subprotocol)
        self._opened = opened

    def _upgraded(self, response: Response) -> None:
        super()._upgraded(response)
        if self.opened:
            self._opened()


class CentrifugalSocket(Foreign):
    """Replies of a message, in JSON or in Protobuf."""

    blames = STAYS_OUT

    def _decoded(self, payload: bytes) -> list[Event]:
        text = payload if self._binary else payload.decode()
        replies: list[Event] = (_ProtobufCodec if self._binary else _JsonCodec).decode_replies(text)
        return replies

    def together(self, commands: list[Event]) -> None:
        """Send commands in one message."""
        codec = _ProtobufCodec if self._binary else _JsonCodec
        written: bytes | str = codec.encode_commands(commands)
        self.send(written.encode() if isinstance(written, str) else written)


class GoimSocket(Foreign):
    """Packets of a message, those that were compressed together opened."""

    def _decoded(self, payload: bytes) -> list[Event]:
        return [one._asdict() for one in packets(payload)]

    def tell(self, op: int, fields: dict[str, Any] | None = None) -> None:
        """Send a packet."""
        self.send(packet(op, b"" if fields is None else json.dumps(fields).encode()))
