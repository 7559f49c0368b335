"""How HSMs are reached, as plain data: what one process gives another so that it can ask them too."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from card.hsm.addresses import Address
from card.hsm.client import Hsm


@dataclass(frozen=True, slots=True)
class HsmAccess:
    """Where the HSMs are, how long to wait, and the PEM files with which to speak TLS to them.

    It holds no secret: a key stays in its file, which has to be there wherever the HSMs are asked from.
    """

    addresses: tuple[Address, ...]
    timeout_s: float = 10.0
    ca: Path | None = None
    certificate: Path | None = None

    def client(self) -> Hsm:
        """A client with connections of its own, to be closed. Raises OSError for a PEM file that will not do."""
        return Hsm.at(self.addresses, timeout_s=self.timeout_s, tls=tls_context(self.ca, self.certificate))


def tls_context(ca: Path | None, certificate: Path | None) -> ssl.SSLContext | None:
    """What we trust and show when we speak to HSMs over TLS; None without `ca`. Raises OSError for a bad file."""
    if ca is None:
        return None
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context
