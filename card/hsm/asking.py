"""How the client asks: one exchange, its refusals as HsmError, its answer measured."""

from types import TracebackType
from typing import Self

from card.hsm.codec import DONE, Answer, Fields
from card.hsm.errors import HsmError
from card.hsm.pool import Pool


class Asking:
    """A pool of connections to one HSM, and the two ways to ask it."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 10.0, connections: int = 4) -> None:
        self._pool = Pool(host, port, timeout_s, connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the client cannot be used again."""
        self._pool.close()

    def _exchange(self, command: str, fields: Fields, extra_s: float = 0.0) -> Answer:
        return self._pool.exchange(command, lambda: (fields,), extra_s)[0]

    def _ask(self, command: str, fields: bytes = b"", answer_bytes: int | None = None) -> bytes:
        answer = self._exchange(command, fields)
        if answer.error != DONE:
            raise HsmError(command, answer.error)
        return sized(command, answer.fields, answer_bytes)

    def _verify(self, command: str, fields: bytes) -> bool:
        return self._exchange(command, fields).error == DONE


def sized(command: str, raw: bytes, width: int | None) -> bytes:
    """The answer's fields where they are as long as the format has them. Raises HsmError `garbled`."""
    if width is not None and len(raw) != width:
        raise HsmError(command, "garbled", f"{len(raw)} bytes of fields instead of {width}")
    return raw
