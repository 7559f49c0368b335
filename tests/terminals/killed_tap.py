"""One tap in a process of its own, killed on the way: the terminal that loses its power in earnest.

Its card is a chip in a drawer, which is written before an answer leaves; what the gate did stands in a file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from card.hsm.client import Hsm
from city.drawer import Chip, Drawer, KeptChip
from city.factory import Factory
from clearing.wire.batch import TapRecord
from terminals.asking import run
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.sam import HsmSam
from terminals.trip import Identity
from terminals.validator import Validator
from tests.support.forked import FORKED
from tests.terminals.depot import EXIT, GATE, TARIFF
from tests.terminals.faults import Fault, FaultyHands, kill_this_process


@dataclass(frozen=True, slots=True)
class Place:
    """Where the terminal and its rider's card keep what they keep."""

    folder: Path
    hsm_port: int
    transport_key_file: Path

    @property
    def outbox(self) -> Path:
        """The terminal's outbox."""
        return self.folder / "outbox.db"

    @property
    def gate(self) -> Path:
        """Every opening of the gate, a record in hex a line."""
        return self.folder / "gate.log"

    def drawer(self) -> Drawer:
        """The chips."""
        return Drawer(self.folder / "cards.db")

    def opened(self) -> list[TapRecord]:
        """The rides for which the gate has opened."""
        if not self.gate.exists():
            return []
        return [TapRecord.unpack(bytes.fromhex(line)) for line in self.gate.read_text("ascii").splitlines()]

    def _open_gate(self, record: TapRecord) -> None:
        with self.gate.open("a", encoding="ascii") as log:
            log.write(f"{record.pack().hex()}\n")
            log.flush()
            os.fsync(log.fileno())

    def tap(self, at: datetime, fault: Fault | None, statement: int | None) -> None:
        """Tap once; killed at a step of the dialogue, or before a statement of the outbox."""
        drawer = self.drawer()
        with Hsm("127.0.0.1", self.hsm_port) as hsm, KillingOutbox(self.outbox, statement) as outbox:
            (chip,) = drawer.chips()
            card = KeptChip(drawer, chip, Factory(hsm, self.transport_key_file).awaken(chip))
            validator = Validator(
                Identity(GATE), HsmSam(GATE, hsm, outbox), outbox, TARIFF, Hotlist(7), gate=self._open_gate
            )
            hands = FaultyHands(validator, card, fault, power_loss=kill_this_process)
            outcome = run(validator.begin(EXIT, at=at), hands.perform)
        drawer.close()
        if not outcome.opened:
            raise AssertionError(f"the gate stayed shut: {outcome.refusal}")


class KillingOutbox(Outbox):
    """An outbox whose process dies before its statement of that number, from 0, after it was opened."""

    def __init__(self, path: Path, statement: int | None) -> None:
        super().__init__(path)
        self.statements = 0
        self._fatal = statement
        self._db.set_trace_callback(self._before)

    def _before(self, _statement: str) -> None:
        if self.statements == self._fatal:
            kill_this_process()
        self.statements += 1


def put_card(place: Place, chips: Sequence[Chip]) -> None:
    """The rider has this card."""
    drawer = place.drawer()
    drawer.put(chips)
    drawer.close()


def tapped(
    place: Place, at: datetime, *, fault: Fault | None = None, statement: int | None = None
) -> int | None:
    """Tap in a process of its own: its exit code, negative for the signal that killed it."""
    process = FORKED.Process(target=place.tap, args=(at, fault, statement))
    process.start()
    process.join()
    return process.exitcode
