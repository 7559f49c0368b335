"""A chip's memory whose power can be cut after any byte written."""

import json
from dataclasses import dataclass, field

from card.chip.memory import MEMORY_BYTES, Write, document_in, writes
from card.chip.state import CardState, state_from_json, state_to_json


class PowerCut(BaseException):
    """The field is gone: nothing on the card catches it."""


@dataclass(slots=True)
class Eeprom:
    """Bytes that keep their value without power, which fails after `power` more bytes are written."""

    cells: bytearray = field(default_factory=lambda: bytearray(MEMORY_BYTES))
    power: int | None = None

    def write(self, step: Write) -> None:
        for offset, byte in enumerate(step.data, step.offset):
            if self.power == 0:
                raise PowerCut
            self.cells[offset] = byte
            if self.power is not None:
                self.power -= 1

    def put(self, document: bytes) -> None:
        for step in writes(bytes(self.cells), document):
            self.write(step)

    def keep(self, state: CardState) -> None:
        self.put(json.dumps(state_to_json(state)).encode())

    def state(self) -> CardState:
        document = document_in(bytes(self.cells))
        assert document is not None
        return state_from_json(json.loads(document))
