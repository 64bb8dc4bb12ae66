"""Each request has an id: the caller's X-Request-Id, or one that is made. It is in the response, in
every line of the log that the request causes here, and in the audit.

Rules. One that is no short word is not taken: it goes into logs and headers. The id is in the
context of the task that answers a request, which ends with it, so what is logged behind the
application, as an exception is, still has it.
"""

import re
import secrets
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shard.logids import REQUEST

HEADER: Final = b"x-request-id"
TAKEN: Final = re.compile(rb"[A-Za-z0-9_.:/+=@-]{1,128}")


class RequestId:
    """ASGI middleware, before all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HEADER, b"")
        request = given.decode() if TAKEN.fullmatch(given) else secrets.token_hex(8)
        REQUEST.set(request)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, request.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)
