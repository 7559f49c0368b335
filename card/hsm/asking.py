"""How the client asks: one exchange, its refusals as HsmError, its answer measured."""

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from card.hsm.addresses import Address
from card.hsm.codec import DONE, Answer, Fields
from card.hsm.errors import HsmError
from card.hsm.failover import Failover, Standing


class Asking:
    """Connections to one HSM, or to several with the same keys, and the two ways to ask.

    `standby` are the others, asked in their order when those before fail; each may get `connections` at a time.
    `tls` is a context that trusts the HSMs' issuer and holds our certificate; without one nothing is encrypted.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        standby: Sequence[tuple[str, int]] = (),
        timeout_s: float = 10.0,
        connections: int = 4,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        addresses = [Address(host, port), *(Address(*other) for other in standby)]
        self._addresses, self._timeout_s, self._tls = addresses, timeout_s, tls
        self._hsms = Failover(addresses, timeout_s=timeout_s, connections=connections, tls=tls)

    @classmethod
    def at(
        cls,
        addresses: Sequence[tuple[str, int]],
        *,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """The client of the HSMs at these addresses, one at least."""
        (host, port), *others = addresses
        return cls(host, port, standby=others, timeout_s=timeout_s, tls=tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the client cannot be used again."""
        self._hsms.close()

    def each(self) -> list[Self]:
        """A client of each HSM alone, for whoever must know what one of them says; to be closed like this one."""
        return [type(self).at([one], timeout_s=self._timeout_s, tls=self._tls) for one in self._addresses]

    def standings(self) -> list[Standing]:
        """How things stand with each HSM, in the order in which they are asked."""
        return self._hsms.standings()

    def _exchange(self, command: str, fields: Fields, extra_s: float = 0.0) -> Answer:
        return self._hsms.exchange(command, lambda: (fields,), extra_s)[0]

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
