"""What the tests of terminals put together: cards with their own keys, cards that tear, terminals that listen in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import clearing
from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import CardKeys, unwrap_card_keys
from card.chip.sam import SamPurchase
from card.chip.state import new_state
from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from clearing.wire.batch import Ride, TapRecord
from clearing.wire.tariff import parse_tariff
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.reader import CardGone, Sam, SamGone, Transmits
from terminals.sam import HsmSam
from terminals.trip import Identity
from terminals.validator import RideFacts, Validator

ISSUER, CARD_NO = "01011000", "03104870000000001234"
GATE, NEXT_GATE, FAR_GATE = "518000000001", "518000000002", "518000000099"
AT = datetime(2026, 1, 31, 8, 43, 29, tzinfo=UTC)
"""16:43:29 in the city, the moment of the worked example."""
BUS = RideFacts(Ride.BUS, 200, line=1)
EXIT = RideFacts(Ride.METRO_EXIT, 500, line=3, station=12)
TARIFF = parse_tariff(
    (Path(clearing.__path__[0]) / "sectors" / "transit" / "tariffs" / "shenzhen-2018.json").read_text("utf-8")
)
PUBLIC = PublicData(ISSUER, CARD_NO, holder_class=1, starts=date(2026, 1, 1), expires=date(2036, 12, 31))


class PowerLoss(BaseException):
    """The terminal goes dark: nothing that runs may catch it."""


@dataclass(slots=True)
class TearingCard:
    """A card that leaves the field at one APDU (from 0), before the card has done it or after."""

    card: VirtualCard
    at: int | None = None
    after: bool = False
    error: type[BaseException] = CardGone
    spoil: Callable[[bytes], bytes] | None = None
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)

    def transmit(self, apdu: bytes) -> bytes:
        torn = len(self.heard) == self.at
        if torn and not self.after and self.spoil is None:
            raise self.error
        answer = self.card.transmit(apdu)
        if torn and self.spoil is not None:
            answer = self.spoil(answer)
        elif torn:
            raise self.error
        self.heard.append((apdu, answer))
        return answer


@dataclass(slots=True)
class ListeningSam:
    """Hears what a SAM is told; `gone_at` an instruction it no longer answers, `chip` knows only its last purchase."""

    sam: Sam
    gone_at: int | None = None
    chip: bool = False
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)

    def transmit(self, apdu: bytes) -> bytes:
        if apdu[1] == self.gone_at:
            raise SamGone("no answer")
        answer = self.sam.transmit(apdu)
        self.heard.append((apdu, answer))
        return answer

    def resume(self, purchase: SamPurchase, terminal_sequence: int) -> bool:
        return not self.chip and self.sam.resume(purchase, terminal_sequence)


class Depot:
    """One operator's terminals, and the riders' cards."""

    def __init__(self, hsm: Hsm, transport_key: bytes, outbox: Outbox) -> None:
        self.hsm = hsm
        self.outbox = outbox
        self._transport_key = transport_key

    def with_outbox(self, outbox: Outbox) -> "Depot":
        """The same HSM and cards, another depot's memory."""
        return Depot(self.hsm, self._transport_key, outbox)

    def keys_of(self, card_no: str = CARD_NO, algorithm: int = 0, *, issuer: str = ISSUER) -> CardKeys:
        ref = CardKeyRef.of(issuer, card_no, 1, algorithm=algorithm)
        return unwrap_card_keys(self.hsm.card_keys(ref).wrapped, self._transport_key)

    def card(
        self,
        public: PublicData = PUBLIC,
        *,
        rnd: bytes | None = None,
        keys: CardKeys | None = None,
        **state: Any,
    ) -> VirtualCard:
        """A card with 100 yuan, its purchase counter at 36h and its load counter at 5, or as `state` says."""
        facts = {
            "balance_fen": 10000,
            "purchase_sequence": 0x36,
            "load_sequence": 5,
            "algorithm": 0,
            "key_version": 1,
        } | state
        numbers = iter(range(1, 1 << 20))
        random = (lambda count: rnd[:count]) if rnd else lambda count: next(numbers).to_bytes(count, "big")
        own = keys or self.keys_of(public.card_no, facts["algorithm"])
        return VirtualCard(new_state(public, **facts), own, random)

    def validator(
        self, terminal: str = GATE, *, sam: Sam | None = None, hotlist: Hotlist | None = None
    ) -> Validator:
        return Validator(
            Identity(terminal),
            sam or HsmSam(terminal, self.hsm, self.outbox),
            self.outbox,
            TARIFF,
            hotlist or Hotlist(7),
        )

    def tac_holds(self, record: TapRecord) -> bool:
        """What the clearing house will ask."""
        keys = CardKeyRef.of(record.issuer, record.card_no, record.key_version, record.algorithm)
        return self.hsm.verify_purchase_tac(
            keys, amount_fen=record.amount_fen, kind=record.kind, terminal=bytes.fromhex(record.terminal),
            terminal_sequence=record.terminal_sequence, moment=record.moment, tac=record.tac,
        )  # fmt: skip


def returned(card: VirtualCard) -> Transmits:
    """The card comes back into the field: it has lost its power in between."""
    card.reset()
    return card
