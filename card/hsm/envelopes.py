"""Data keys from the HSM: clear in our memory, wrapped on our disk."""

from dataclasses import dataclass, field

from card.hsm.asking import Asking
from card.hsm.codec import fixed, number

KEY_BYTES, WRAPPED_BYTES = 32, 40


@dataclass(frozen=True, slots=True)
class DataKey:
    """An AES-256 key to seal data with, and its wrapped form, which opens under that version of `DK`."""

    version: int
    clear: bytes = field(repr=False)
    wrapped: bytes


class Envelopes(Asking):
    """The commands of envelope encryption."""

    def new_data_key(self, version: int = 0) -> DataKey:
        """H0: a new data key under a version of the HSM's own; version 0 means the newest."""
        raw = self._ask("H0", number("version", version, 1), 1 + KEY_BYTES + WRAPPED_BYTES)
        return DataKey(raw[0], raw[1 : 1 + KEY_BYTES], raw[1 + KEY_BYTES :])

    def open_data_key(self, version: int, wrapped: bytes) -> bytes:
        """H2: the data key of a wrapped form. Raises HsmError `01` where it is not what H0 gave out."""
        fields = number("version", version, 1) + fixed("wrapped", wrapped, WRAPPED_BYTES)
        return self._ask("H2", fields, KEY_BYTES)
