"""Fields of the public host commands: text of fixed width, and key blocks, which say how long they are."""

from collections.abc import Callable

from hsm_sim.box import Refused
from hsm_sim.key_blocks import HEADER_CHARACTERS, KeyBlockError, block_length
from hsm_sim.wire import ErrorCode

UNDER_LMK = "S"
UNDER_ZMK = "R"

_DIGITS = frozenset("0123456789")
_HEX_DIGITS = frozenset("0123456789ABCDEF")


class HostFields:
    """Reads one request's fields from left to right; every method raises Refused where they do not go on so."""

    def __init__(self, fields: bytes) -> None:
        self._fields = fields
        self._at = 0

    def raw(self, width: int) -> bytes:
        """So many bytes as they are."""
        end = self._at + width
        if end > len(self._fields):
            raise Refused(ErrorCode.LENGTH_WRONG)
        found = self._fields[self._at : end]
        self._at = end
        return found

    def text(self, width: int) -> str:
        """So many characters of ASCII."""
        found = self.raw(width)
        if not found.isascii():
            raise Refused(ErrorCode.VALUE_IMPOSSIBLE)
        return found.decode("ascii")

    def number(self, width: int) -> int:
        """A decimal number of so many digits."""
        return int(self._of(_DIGITS, width))

    def digits(self, width: int) -> str:
        """So many decimal digits."""
        return self._of(_DIGITS, width)

    def hex_number(self, width: int) -> int:
        """A hexadecimal number of so many digits."""
        return int(self._of(_HEX_DIGITS, width), 16)

    def packed(self, width: int) -> bytes:
        """So many bytes, written as twice as many hex digits in upper case."""
        return bytes.fromhex(self._of(_HEX_DIGITS, 2 * width))

    def block(self, scheme: str) -> str:
        """A key block behind the letter that says under what it is wrapped."""
        if self.text(1) != scheme:
            raise Refused(ErrorCode.ALGORITHM_UNSUPPORTED)
        start = self._at
        try:
            length = block_length(self.text(HEADER_CHARACTERS))
        except KeyBlockError as error:
            raise Refused(ErrorCode.BLOCK_MALFORMED) from error
        self._at = start
        return self.text(length)

    def end(self) -> None:
        """There is nothing more."""
        if self._at != len(self._fields):
            raise Refused(ErrorCode.LENGTH_WRONG)

    def _of(self, characters: frozenset[str], width: int) -> str:
        found = self.text(width)
        if not characters.issuperset(found):
            raise Refused(ErrorCode.VALUE_IMPOSSIBLE)
        return found


def chosen(value: str, choices: str | Callable[[str], bool], otherwise: ErrorCode) -> str:
    """`value` where it is one of the choices. Raises Refused otherwise."""
    if not (value in choices if isinstance(choices, str) else choices(value)):
        raise Refused(otherwise)
    return value
