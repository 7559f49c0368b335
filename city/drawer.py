"""The chips of the simulated city's riders, kept between runs as a rider keeps a card in a drawer."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.state import CardState, state_from_json, state_to_json
from card.stock import Personalised


@dataclass(frozen=True, slots=True)
class Chip:
    """A personalised chip at rest: what is on it, and its keys as the HSM wrapped them."""

    card_no: str
    state: CardState
    wrapped_keys: bytes

    @property
    def personalised(self) -> Personalised:
        """What the register has to know of the chip."""
        public = PublicData.unpack(self.state.public)
        return Personalised(
            self.card_no, self.state.key_version, self.state.algorithm, public.starts, public.expires
        )


class Drawer:
    """Chips by card number, in a SQLite file of the simulated world's own."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = sqlite3.connect(path)
        self._store.execute(
            "CREATE TABLE IF NOT EXISTS chip (card_no TEXT PRIMARY KEY, balance_fen INTEGER NOT NULL,"
            " state TEXT NOT NULL, wrapped_keys BLOB NOT NULL)"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def put(self, chips: Iterable[Chip]) -> None:
        """Keep these chips as they are now, all or none."""
        with self._store:
            self._store.executemany(
                "INSERT INTO chip VALUES (?, ?, ?, ?)"
                " ON CONFLICT (card_no) DO UPDATE SET balance_fen = excluded.balance_fen, state = excluded.state,"
                " wrapped_keys = excluded.wrapped_keys",
                [
                    (
                        chip.card_no,
                        chip.state.purse.balance_fen,
                        json.dumps(state_to_json(chip.state)),
                        chip.wrapped_keys,
                    )
                    for chip in chips
                ],
            )

    def chip(self, card_no: str) -> Chip | None:
        """The chip of a number, or None."""
        query = "SELECT state, wrapped_keys FROM chip WHERE card_no = ?"
        row = self._store.execute(query, (card_no,)).fetchone()
        return None if row is None else Chip(card_no, state_from_json(json.loads(row[0])), row[1])

    def chips(self) -> Iterator[Chip]:
        """Every chip, by card number."""
        for card_no, state, wrapped in self._store.execute(
            "SELECT card_no, state, wrapped_keys FROM chip ORDER BY card_no"
        ):
            yield Chip(card_no, state_from_json(json.loads(state)), wrapped)

    def balance_fen(self) -> int:
        """What all chips hold together."""
        (total,) = self._store.execute("SELECT COALESCE(SUM(balance_fen), 0) FROM chip").fetchone()
        return int(total)


class KeptChip:
    """A chip whose state outlives the program: it is in the drawer before its answer leaves."""

    def __init__(self, drawer: Drawer, chip: Chip, card: VirtualCard) -> None:
        self._drawer = drawer
        self._chip = chip
        self._card = card

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command."""
        before = self._card.state
        answer = self._card.transmit(apdu)
        if self._card.state != before:
            self._drawer.put([Chip(self._chip.card_no, self._card.state, self._chip.wrapped_keys)])
        return answer
