"""Messages of a client that are sent but not yet known to be delivered.

Rules. No socket, no clock. An attempt ends with an ack, an error, or nothing because the link
broke; the message keeps its id through all of them, and the server delivers an id once per sender.

Danger: a guest who reconnects may be a new sender (its key is not known any more), for whom the
server cannot know the id. A guest's own message seen in the room (`seen`) therefore counts as
acknowledged; and one that may have been published by another sender is not to be sent again.
"""

import asyncio
from collections import deque
from typing import Final

from msgspec.structs import replace

from chat.wire.commands import Send
from chat.wire.schema import Ack, Error, ErrorCode, Msg, Ref

ACKS_KEPT: Final = 20
"""An echo comes within moments of its ack; this many of others may lie between."""


class Sending:
    """One message. `ack` once it is known to be delivered; `sender` is the uid by whom it may have
    been, as nobody knows yet, and "" where nobody can have."""

    def __init__(self, command: Send) -> None:
        self.command = command
        self.attempts = 0
        self.ack: Ack | None = None
        self.sender = ""
        self._before = ""
        self._answer: asyncio.Future[Error | None] | None = None

    def attempt(self, ref: Ref, sender: str) -> Send:
        """The command to put on the wire now, as that uid; wait for `answer` then."""
        self.attempts += 1
        self._before, self.sender = self.sender, sender
        self._answer = asyncio.get_running_loop().create_future()
        self.command = replace(self.command, ref=ref)
        return self.command

    async def answer(self) -> Ack | Error | None:
        """What the attempt came to; None when the link broke."""
        assert self._answer is not None, "attempt() comes first"
        error = await self._answer
        return self.ack or error

    def settle(self, answer: Ack | Error | None) -> None:
        """The attempt has ended, unless it had before."""
        if isinstance(answer, Ack):
            self.ack, answer = answer, None
        elif answer is not None and answer.code != ErrorCode.UNAVAILABLE:
            # This attempt has not published it; the server's store may have, and not said so.
            self.sender = self._before
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


class Unacked:
    """All messages under way, oldest first."""

    def __init__(self) -> None:
        self._sendings: list[Sending] = []
        self._acked: deque[tuple[str, str]] = deque(maxlen=ACKS_KEPT)

    def __len__(self) -> int:
        return len(self._sendings)

    def add(self, command: Send) -> Sending:
        """Keep track of a message, until `remove`."""
        sending = Sending(command)
        self._sendings.append(sending)
        return sending

    def remove(self, sending: Sending) -> None:
        self._sendings.remove(sending)

    def answered(self, answer: Ack | Error) -> bool:
        """An answer came; whether it was for one of these messages."""
        for sending in self._sendings:
            if sending.attempts and sending.command.ref == answer.ref:
                if isinstance(answer, Ack):
                    self._acked.append((answer.room, answer.id))
                sending.settle(answer)
                return True
        return False

    def seen(self, message: Msg) -> None:
        """Our own message came by. The oldest with that text was it, unless its ack came first."""
        if (message.room, message.id) in self._acked:
            return
        for sending in self._sendings:
            command = sending.command
            same = (command.room, command.text.strip()) == (message.room, message.text)
            if sending.attempts and sending.ack is None and same:
                sending.settle(Ack(message.room, message.seq, message.id, message.ts))
                return

    def lost(self) -> None:
        """The link broke: nothing under way will be answered."""
        for sending in self._sendings:
            sending.settle(None)
