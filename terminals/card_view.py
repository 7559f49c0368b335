"""What can be read off a transit card without any key: who it is, what it holds, what it did last.

T-Union cards (JT/T 978) and City Union cards (CJ/T 304) have the same purse behind different names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from card.chip import commands
from card.chip.commands import AnswerError, Refusal, Share
from card.chip.files import (
    CITY_UNION_AID,
    REGION_BYTES,
    REGION_SFI,
    TRANSIT_AID,
    FileError,
    PublicData,
    Region,
)
from card.chip.purse import LOG_RECORDS
from card.chip.records import (
    PAID_AREA_BYTES,
    PAID_AREA_SFI,
    PURSE_BYTES,
    PURSE_LOG_SFI,
    TRIP_BYTES,
    TRIP_SFI,
    PaidArea,
    PurseRecord,
    RecordError,
    TripRecord,
)
from card.chip.status import StatusWord
from terminals.reader import Transmits

SCHEMES = {"T-Union": TRANSIT_AID, "City Union": CITY_UNION_AID}
TRIPS_SHOWN = 10
_BLOCKED: dict[int, str] = {
    StatusWord.FUNCTION_NOT_SUPPORTED: "blocked",
    StatusWord.LOCKED_FOR_GOOD: "locked for good",
}
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class CardView:
    """A card as it shows itself. `city` is 4 digits; what a card does not show is None or empty, the newest first.

    `balance_fen` is what can be spent, the overdraft limit included.
    """

    scheme: str
    public: PublicData
    city: str
    balance_fen: int
    overdraft_limit_fen: int | None
    log: tuple[PurseRecord, ...]
    trips: tuple[TripRecord, ...]
    paid_area: PaidArea | None

    @property
    def card_no(self) -> str:
        """The number as it is printed on the card: the digits of a City Union card without its city."""
        return self.public.card_no[4:] if self.scheme == "City Union" else self.public.card_no


@dataclass(frozen=True, slots=True)
class NotReadable:
    """Why a card cannot be shown: it is of another kind, blocked, or does not keep to its layout."""

    reason: str


def read_card(card: Transmits) -> CardView | NotReadable:
    """Read whatever card lies on the reader. Raises CardGone where it is taken away."""
    try:
        for scheme, aid in SCHEMES.items():
            fci = commands.parse_select(card.transmit(commands.select(aid)))
            if not isinstance(fci, Refusal):
                return _view(card, scheme, PublicData.unpack(fci.public))
            if fci.word in _BLOCKED:
                return NotReadable(f"a {scheme} card whose application is {_BLOCKED[fci.word]}")
    except (AnswerError, FileError) as broken:
        return NotReadable(f"a card that does not keep to its layout: {broken}")
    return NotReadable("neither a T-Union nor a City Union card")


def _view(card: Transmits, scheme: str, public: PublicData) -> CardView | NotReadable:
    balance = commands.parse_balance(card.transmit(commands.get_balance(Share.WITH_OVERDRAFT)))
    if isinstance(balance, Refusal):
        return NotReadable(f"a {scheme} card that does not tell its balance: {balance}")
    limit = commands.parse_balance(card.transmit(commands.get_balance(Share.OVERDRAFT_LIMIT)))
    region = commands.parse_read(card.transmit(commands.read_binary(REGION_SFI)))
    areas = list(_records(card, PAID_AREA_SFI, PAID_AREA_BYTES, 1, PaidArea.unpack))
    return CardView(
        scheme,
        public,
        _city(public, region),
        balance,
        None if isinstance(limit, Refusal) else limit,
        tuple(_records(card, PURSE_LOG_SFI, PURSE_BYTES, LOG_RECORDS, PurseRecord.unpack)),
        tuple(_records(card, TRIP_SFI, TRIP_BYTES, TRIPS_SHOWN, TripRecord.unpack)),
        areas[0] if areas else None,
    )


def _city(public: PublicData, region: bytes | Refusal) -> str:
    """From file 17 where the card has one; a City Union card's number begins with it."""
    if isinstance(region, Refusal) or len(region) != REGION_BYTES:
        return public.card_no[:4]
    return Region.unpack(region).city


def _records(
    card: Transmits, sfi: int, width: int, most: int, unpack: Callable[[bytes], _Record]
) -> Iterator[_Record]:
    """The records of a file that are of its layout; a file never used, or not there, has none."""
    for number in range(1, most + 1):
        raw = commands.parse_read(card.transmit(commands.read_record(number, sfi)))
        if isinstance(raw, Refusal):
            return
        try:
            # A cyclic file that was never full may show its empty records.
            if len(raw) != width or any(raw):
                yield unpack(raw)
        except RecordError:
            # Another city's layout, or a record torn by a bad terminal: the others may still be good.
            continue
