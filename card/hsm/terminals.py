"""Keys and MACs of online terminals, which speak with the gateway and never with the HSM."""

from dataclasses import dataclass

from card.hsm.asking import Asking
from card.hsm.codec import fixed, name_field, number

WRAPPED_BYTES, CHECK_VALUE_BYTES, MAC_BYTES = 24, 3, 8
MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class WorkingKey:
    """A terminal's 3DES working key, never clear: for the terminal under its master key, for us as a block."""

    for_terminal: bytes
    block: bytes
    check_value: bytes
    version: int
    """Of the root of the terminal's master key."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key wrapped under a transport key (RFC 3394), its check value, and the version of its root."""

    wrapped: bytes
    check_value: bytes
    version: int


class TerminalKeys(Asking):
    """The commands of online terminals, which are named by 1 to 8 ASCII characters."""

    def terminal_master_key(self, terminal: str, version: int = 0, transport_version: int = 1) -> WrappedKey:
        """I6: the key under which a terminal gets its working keys, wrapped for its enrolment."""
        versions = number("version", version, 1) + number("transport_version", transport_version, 1)
        raw = self._ask(
            "I6", versions + name_field("terminal", terminal), 1 + WRAPPED_BYTES + CHECK_VALUE_BYTES
        )
        return WrappedKey(raw[1:25], raw[25:], raw[0])

    def terminal_working_key(self, terminal: str, version: int = 0) -> WorkingKey:
        """I0: a new working key; `version` is the master key's with which the terminal was enrolled."""
        fields = number("version", version, 1) + name_field("terminal", terminal)
        raw = self._ask("I0", fields, 1 + 2 * WRAPPED_BYTES + CHECK_VALUE_BYTES)
        return WorkingKey(raw[1:25], raw[25:49], raw[49:], raw[0])

    def terminal_mac(self, block: bytes, message: bytes) -> bytes:
        """I2: the retail MAC, 8 bytes, of a message of 1 to 4096 bytes. HsmError `01`: the block is not ours."""
        return self._ask("I2", fixed("block", block, WRAPPED_BYTES) + bounded(message), MAC_BYTES)

    def verify_terminal_mac(self, block: bytes, message: bytes, mac: bytes) -> bool:
        """I4: whether the terminal of that working key made the MAC; False too where the block is not ours."""
        fields = fixed("block", block, WRAPPED_BYTES) + fixed("mac", mac, MAC_BYTES) + bounded(message)
        return self._verify("I4", fields)


def bounded(message: bytes) -> bytes:
    """A message as long as one request takes. Raises ValueError otherwise."""
    if not 1 <= len(message) <= MESSAGE_BYTES:
        raise ValueError(f"message has {len(message)} bytes: give 1 to {MESSAGE_BYTES}")
    return message
