"""A planned day, lived: every tap is a real dialogue of a chip with a validator and its SAM."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from card.chip.applet import VirtualCard
from card.hsm.client import Hsm
from city.day import UNREGISTERED_TERMINAL, Mischief, PlannedTap
from city.riders import Riders
from clearing.wire.batch import Ride
from clearing.wire.tariff import Tariff
from terminals.holdings import Holdings
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.outcome import Outcome, Refusal
from terminals.sam import HsmSam
from terminals.trip import Identity
from terminals.validator import RideFacts, Validator

NO_LIST = Hotlist(0)
WILD_FARE_FEN = 50_000


@dataclass(frozen=True, slots=True)
class Debit:
    """Money that really left a rider's chip."""

    card_no: str
    counter: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a day's taps: the debits in order, and the places of taps turned away, with why."""

    debits: tuple[Debit, ...]
    turned_away: tuple[tuple[int, Refusal | None], ...]


class Street:
    """The validators of a city by terminal number, each operator's around its depot's outbox."""

    def __init__(
        self, depots: Path, hsm: Hsm, tariff: Tariff, sync: Literal["full", "off"] = "full", *,
        holdings: Callable[[str], Holdings] | None = None,
    ) -> None:  # fmt: skip
        """`holdings` are the signed files of each terminal; without them it has `tariff`, and no hotlist."""
        depots.mkdir(parents=True, exist_ok=True)
        self._folder, self._hsm, self._tariff, self._sync = depots, hsm, tariff, sync
        self._holdings = holdings
        self._outboxes: dict[str, Outbox] = {}
        self._validators: dict[tuple[str, str], Validator] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def depots(self) -> Mapping[str, Outbox]:
        """Every depot that has taken a tap, by operator."""
        return dict(sorted(self._outboxes.items()))

    def depot(self, operator: str) -> Outbox:
        """The operator's outbox, in a file of its own."""
        if operator not in self._outboxes:
            outbox = Outbox(self._folder / f"{operator}.db", self._sync)
            self._outboxes[operator] = self._stack.enter_context(outbox)
        return self._outboxes[operator]

    def validator(self, operator: str, terminal: str) -> Validator:
        """The validator at a gate or in a bus, with its own SAM."""
        key = operator, terminal
        if key not in self._validators:
            outbox = self.depot(operator)
            self._validators[key] = Validator(
                Identity(terminal), HsmSam(terminal, self._hsm, outbox), outbox, self._tariff, NO_LIST,
                holdings=None if self._holdings is None else self._holdings(terminal),
            )  # fmt: skip
        return self._validators[key]

    def live(
        self,
        taps: Sequence[PlannedTap],
        riders: Riders,
        mischief: Mapping[str, Mischief],
        progress: Callable[[str, int, int], None],
    ) -> Lived:
        """Let every tap happen in order. Clones debit a chip of their own, which is in nobody's balance.

        Durable writes of all depots are grouped: the street is one process and would be lived again.
        """
        debits, turned_away = [], []
        with ExitStack() as groups:
            for operator in sorted({tap.operator for tap in taps}):
                groups.enter_context(self.depot(operator).together())
            for done, tap in enumerate(taps, 1):
                outcome = self._happen(tap, riders, mischief.get(tap.card_no))
                if outcome.record is None:
                    turned_away.append((done - 1, outcome.refusal))
                else:
                    debits.append(Debit(tap.card_no, outcome.record.counter, outcome.record.amount_fen))
                progress("taps", done, len(taps))
        return Lived(tuple(debits), tuple(turned_away))

    def _happen(self, tap: PlannedTap, riders: Riders, mischief: Mischief | None) -> Outcome:
        card = riders.card(tap.card_no)
        facts = RideFacts(tap.ride, tap.list_fare_fen, tap.linked, tap.full_fare, tap.line, tap.station)
        if mischief is Mischief.DEVICE_UNKNOWN:
            tap = replace(tap, terminal=UNREGISTERED_TERMINAL)
        validator = self.validator(tap.operator, tap.terminal)
        if mischief is Mischief.COUNTER_CONFLICT:
            self._clone(tap, riders.twin(tap.card_no), facts)
        if mischief is Mischief.AMOUNT_OUT_OF_BOUNDS:
            # A validator whose tariff file was edited by hand lets a fare through that no tariff knows.
            facts = replace(facts, list_fare_fen=WILD_FARE_FEN, full_fare=True)
            wild = replace(self._tariff, max_fare_fen=dict.fromkeys(Ride, WILD_FARE_FEN))
            outbox = self.depot(tap.operator)
            sam = HsmSam(tap.terminal, self._hsm, outbox)
            validator = Validator(Identity(tap.terminal), sam, outbox, wild, NO_LIST)
        card.reset()
        return validator.tap(card, facts, at=tap.at)

    def _clone(self, tap: PlannedTap, twin: VirtualCard, facts: RideFacts) -> None:
        """A copy of the chip, keys and all, rides the next bus at the same counter."""
        other = f"{int(tap.terminal, 16) ^ 1:012X}"
        self.validator(tap.operator, other).tap(twin, facts, at=tap.at)
