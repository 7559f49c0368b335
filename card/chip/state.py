"""All that a card remembers without power, as one value, and as a document to keep it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from card.chip.files import PUBLIC_BYTES, REGION_BYTES, PublicData, Region
from card.chip.keys import MAC_BYTES, SUITES
from card.chip.purse import LOG_RECORDS, MAC_TRIES, MAX_BALANCE_FEN, MAX_SEQUENCE, Done, Purse, pushed
from card.chip.records import PAID_AREA_BYTES, PAID_AREA_SFI, PURSE_BYTES, TRIP_BYTES, TRIP_SFI, PaidArea
from card.chip.status import StatusWord

TRIP_RECORDS = 30
AUTHENTICATION_TRIES, PIN_TRIES = 5, 3
"""Wrong answers in a row until the key or the PIN is locked."""
MAX_PIN = 12
TRIP_ID, PAID_AREA_ID = 0, 1
"""Record ids for UPDATE CAPP DATA CACHE: a trip is added to a cyclic file, the paid area is written over."""


class StateError(ValueError):
    """A document that holds no card: which field, its value, and the remedy."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"card state: {field} is {value!r}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class Update:
    """A record that waits in the card's cache, to be written together with the debit."""

    sfi: int
    record_id: int
    record: bytes


class Lock(IntEnum):
    """Whether the application works, until somebody unblocks it, or never again."""

    OPEN = 0
    BLOCKED = 1
    FOR_GOOD = 2


@dataclass(frozen=True, slots=True)
class CardState:
    """The card's memory: files 15 and 17 as they are stored, the purse, trips newest first, the paid area.

    A card with a `pin` (4 to 12 digits in ASCII) lets itself be loaded only after it; most have none.
    """

    public: bytes
    region: bytes
    purse: Purse
    trips: bytes
    paid_area: bytes
    key_version: int
    algorithm: int = 0
    lock: Lock = Lock.OPEN
    authentication_tries_left: int = AUTHENTICATION_TRIES
    pin: bytes = field(default=b"", repr=False)
    pin_tries_left: int = PIN_TRIES


def new_state(
    public: PublicData,
    *,
    key_version: int,
    region: Region | None = None,
    balance_fen: int = 0,
    purchase_sequence: int = 0,
    load_sequence: int = 0,
    overdraft_limit_fen: int = 0,
    algorithm: int = 0,
    pin: bytes = b"",
) -> CardState:
    """A card as it leaves the factory: empty, its counters at 0, its holder outside the paid area.

    `balance_fen` includes the overdraft limit. Raises FileError where the public data do not fit.
    """
    return CardState(
        public=public.pack(),
        region=(region or Region()).pack(),
        purse=Purse(balance_fen, overdraft_limit_fen, purchase_sequence, load_sequence),
        trips=b"",
        paid_area=PaidArea(inside=False).pack(),
        key_version=key_version,
        algorithm=algorithm,
        pin=pin,
    )


def judge_update(update: Update) -> StatusWord:
    """Whether a record may wait in the cache: its file, then its id, then its length."""
    fits = {TRIP_SFI: (TRIP_ID, TRIP_BYTES), PAID_AREA_SFI: (PAID_AREA_ID, PAID_AREA_BYTES)}.get(update.sfi)
    if fits is None:
        return StatusWord.FILE_NOT_FOUND
    if update.record_id != fits[0]:
        return StatusWord.RECORD_NOT_FOUND
    if len(update.record) != fits[1]:
        return StatusWord.WRONG_LENGTH
    return StatusWord.DONE


def with_updates(state: CardState, purse: Purse, updates: tuple[Update, ...]) -> CardState:
    """The card after a purchase: its purse, and the records that waited in its cache, are written."""
    trips, paid_area = state.trips, state.paid_area
    for update in updates:
        if update.sfi == TRIP_SFI:
            trips = pushed(trips, update.record, TRIP_RECORDS, TRIP_BYTES)
        else:
            paid_area = update.record
    return replace(state, purse=purse, trips=trips, paid_area=paid_area)


def state_to_json(state: CardState) -> dict[str, Any]:
    """The card as a flat document of JSON values, bytes in hex."""
    purse, done = state.purse, state.purse.done
    return {
        "public": state.public.hex(),
        "region": state.region.hex(),
        "balance_fen": purse.balance_fen,
        "overdraft_limit_fen": purse.overdraft_limit_fen,
        "purchase_sequence": purse.purchase_sequence,
        "load_sequence": purse.load_sequence,
        "mac_tries_left": purse.mac_tries_left,
        "done": done and [done.kind, done.sequence, done.mac2.hex(), done.tac.hex()],
        "log": purse.log.hex(),
        "trips": state.trips.hex(),
        "paid_area": state.paid_area.hex(),
        "key_version": state.key_version,
        "algorithm": state.algorithm,
        "lock": int(state.lock),
        "authentication_tries_left": state.authentication_tries_left,
        "pin": state.pin.hex(),
        "pin_tries_left": state.pin_tries_left,
    }


_BEFORE_LOCKS: dict[str, Any] = {
    "lock": 0, "authentication_tries_left": AUTHENTICATION_TRIES, "pin": "", "pin_tries_left": PIN_TRIES,
}  # fmt: skip
"""What cards were that were put away before there were locks and PINs."""


def state_from_json(document: Mapping[str, Any]) -> CardState:
    """Read back what `state_to_json` wrote. Raises StateError where a field is missing or cannot be."""
    document = _BEFORE_LOCKS | dict(document)
    purse = Purse(
        balance_fen=_number(document, "balance_fen", MAX_BALANCE_FEN),
        overdraft_limit_fen=_number(document, "overdraft_limit_fen", 0xFFFFFF),
        purchase_sequence=_number(document, "purchase_sequence", MAX_SEQUENCE),
        load_sequence=_number(document, "load_sequence", MAX_SEQUENCE),
        mac_tries_left=_number(document, "mac_tries_left", MAC_TRIES),
        done=_done(document.get("done")),
        log=_records(document, "log", PURSE_BYTES, LOG_RECORDS),
    )
    algorithm = _number(document, "algorithm", 0xFF)
    if algorithm not in SUITES:
        raise StateError("algorithm", algorithm, f"give one of {sorted(SUITES)}")
    return CardState(
        public=_bytes(document, "public", PUBLIC_BYTES),
        region=_bytes(document, "region", REGION_BYTES),
        purse=purse,
        trips=_records(document, "trips", TRIP_BYTES, TRIP_RECORDS),
        paid_area=_bytes(document, "paid_area", PAID_AREA_BYTES),
        key_version=_number(document, "key_version", 0xFF),
        algorithm=algorithm,
        lock=Lock(_number(document, "lock", max(Lock))),
        authentication_tries_left=_number(document, "authentication_tries_left", AUTHENTICATION_TRIES),
        pin=_records(document, "pin", 1, MAX_PIN),
        pin_tries_left=_number(document, "pin_tries_left", PIN_TRIES),
    )


def _done(value: object) -> Done | None:
    match value:
        case None:
            return None
        case [int(kind), int(sequence), str(mac2), str(tac)]:
            return Done(kind, sequence, _hex("done", mac2, MAC_BYTES), _hex("done", tac, MAC_BYTES))
        case _:
            raise StateError("done", value, "give null, or kind, sequence, MAC2 and TAC")


def _number(document: Mapping[str, Any], name: str, most: int) -> int:
    value = document.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise StateError(name, value, f"give a whole number from 0 to {most}")
    return value


def _bytes(document: Mapping[str, Any], name: str, width: int) -> bytes:
    return _hex(name, document.get(name), width)


def _records(document: Mapping[str, Any], name: str, width: int, keep: int) -> bytes:
    raw = _hex(name, document.get(name), None)
    if len(raw) % width or len(raw) > keep * width:
        raise StateError(name, f"{len(raw)} bytes", f"give up to {keep} whole records of {width} bytes")
    return raw


def _hex(name: str, value: object, width: int | None) -> bytes:
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else None
    except ValueError:
        raw = None
    if raw is None or (width is not None and len(raw) != width):
        raise StateError(name, value, "give hex" if width is None else f"give {width} bytes in hex")
    return raw
