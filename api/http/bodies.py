"""How long a request's body may be: what is longer is refused before it fills the memory."""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 1 << 20
MOST_FILE_BYTES: Final = 64 << 20
FILES: Final = ("text/csv", "text/plain", "application/octet-stream")
"""Media types of bodies that are files."""


class BodyBound:
    """ASGI middleware: reading a body beyond the bound raises the framework's 413, whatever length was announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body counted."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        most = most_bytes(headers.get("content-type", ""))
        too_long = HTTPException(413, f"the body is longer than {most} bytes; send less at once")
        announced = headers.get("content-length", "")
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            # A length of more digits than any bound is beyond it as well.
            if announced.isdecimal() and (len(announced) > 18 or int(announced) > most):
                raise too_long
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise too_long
            return message

        await self._app(scope, counted, send)


def most_bytes(content_type: str) -> int:
    """The bound of a body of this media type, in bytes."""
    return MOST_FILE_BYTES if content_type.partition(";")[0].strip().lower() in FILES else MOST_BYTES
