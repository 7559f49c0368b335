"""What a handler is given and what it gives back; the few steps that handlers of several kinds share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from hsm_sim.bulk_work import BulkWork
from hsm_sim.key_blocks import Protection
from hsm_sim.keys import KeyStore
from hsm_sim.uses import UseTally
from hsm_sim.wire import ErrorCode

MESSAGE_BOUND_BYTES = 4096
"""The longest message of which a MAC or a signature is made in one request."""

_NAME_CHARACTERS = frozenset(range(0x21, 0x7F))


@dataclass(frozen=True, slots=True)
class Box:
    """All that a handler may know: the keys, a source of randomness, and what NC says of the machine.

    `blocks` opens and makes the hosts' own key blocks, which are under the LMK; None where there is no LMK.
    """

    keys: KeyStore = field(repr=False)
    random: Callable[[int], bytes] = field(repr=False)
    lmk_check: str
    version: str
    blocks: Protection | None = field(default=None, repr=False)
    uses: UseTally = field(default_factory=UseTally, repr=False)
    tampered: bool = False

    def zeroised(self) -> "Box":
        """The same machine after a tamper: it holds no key, and says so."""
        return replace(
            self, keys=KeyStore({}), lmk_check="0" * len(self.lmk_check), blocks=None, tampered=True
        )


Answer = bytes | ErrorCode | BulkWork


class Refused(Exception):
    """A request is answered with an error code; for handlers that find out deep down that it must be."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code)
        self.code = code


def compared(made: bytes, given: bytes) -> bytes | ErrorCode:
    """The answer of a verification, found without telling by its time how much was right."""
    return b"" if compare_digest(made, given) else ErrorCode.VERIFICATION_FAILED


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC (RFC 4493), 16 bytes."""
    made = CMAC(AES(key))
    made.update(message)
    return made.finalize()


def is_name(padded: bytes) -> bool:
    """Whether a field names somebody: printable ASCII without blanks, padded with spaces on the right."""
    name = padded.rstrip(b" ")
    return bool(name) and _NAME_CHARACTERS.issuperset(name)


def is_message(message: bytes) -> bool:
    """Whether a message is as long as one may be: 1 to 4096 bytes."""
    return 1 <= len(message) <= MESSAGE_BOUND_BYTES
