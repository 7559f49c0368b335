"""Commands that change nothing on the card: SELECT, READ BINARY, READ RECORD, GET BALANCE."""

from card.chip.apdu import Apdu
from card.chip.commands import Share
from card.chip.files import (
    APPLICATION_VERSION,
    MASTER_FILE,
    PPSE,
    PUBLIC_SFI,
    REGION_SFI,
    TRANSIT_AID,
    Fci,
    directory_fci,
)
from card.chip.records import PAID_AREA_BYTES, PAID_AREA_SFI, PURSE_BYTES, PURSE_LOG_SFI, TRIP_BYTES, TRIP_SFI
from card.chip.session import Chip, Outcome, Session, answered, refused
from card.chip.state import CardState, Lock
from card.chip.status import StatusWord, right_length_is

BY_NAME = 0x04
WITH_SHORT_ID = 0x80


def select(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """SELECT by name or file identifier. What was begun ends; an unknown name leaves nothing selected."""
    left, lock = Session(session.state), session.state.lock
    if command.p1 != BY_NAME:
        # The master file is the only one with an identifier that we let terminals know.
        return answered(left) if command.data == MASTER_FILE else refused(left, StatusWord.FILE_NOT_FOUND)
    if command.data == PPSE:
        return answered(left, directory_fci())
    if command.data != TRANSIT_AID:
        return refused(left, StatusWord.FILE_NOT_FOUND)
    if lock is Lock.FOR_GOOD:
        return refused(left, StatusWord.LOCKED_FOR_GOOD)
    selected = Session(session.state, selected=True)
    if lock is Lock.BLOCKED:
        # It is selected all the same, or nobody could unblock it.
        return refused(selected, StatusWord.FUNCTION_NOT_SUPPORTED)
    fci = Fci(TRANSIT_AID, session.state.public, APPLICATION_VERSION)
    return answered(selected, fci.pack())


def read_binary(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """READ BINARY of file 15 or 17 by short identifier (ISO 7816-4, clause 11.2.3)."""
    if not command.p1 & WITH_SHORT_ID or command.p1 & 0x60:
        return refused(session, StatusWord.WRONG_P1_P2)
    file = {PUBLIC_SFI: session.state.public, REGION_SFI: session.state.region}.get(command.p1 & 0x1F)
    if file is None:
        return refused(session, StatusWord.FILE_NOT_FOUND)
    if command.p2 >= len(file):
        return refused(session, StatusWord.OFFSET_OUTSIDE)
    rest = file[command.p2 :]
    if command.le is None:
        return refused(session, StatusWord.WRONG_LENGTH)
    if len(rest) < command.le < 256:
        return refused(session, right_length_is(len(rest)))
    return answered(session, rest[: command.le])


def read_record(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """READ RECORD by number, 1 the newest, of files 18, 1E and 1A (ISO 7816-4, clause 11.3.3)."""
    if command.p2 & 0x07 != 0x04:
        return refused(session, StatusWord.WRONG_P1_P2)
    file = _records(session.state, command.p2 >> 3)
    if file is None:
        return refused(session, StatusWord.FILE_NOT_FOUND)
    records, width = file
    record = records[(command.p1 - 1) * width : command.p1 * width] if command.p1 else b""
    if not record:
        return refused(session, StatusWord.RECORD_NOT_FOUND)
    if command.le is None:
        return refused(session, StatusWord.WRONG_LENGTH)
    if command.le not in (width, 256):
        return refused(session, right_length_is(width))
    return answered(session, record)


def get_balance(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """GET BALANCE of the purse, 4 bytes, in one of four senses."""
    balance_fen, limit_fen = session.state.purse.balance_fen, session.state.purse.overdraft_limit_fen
    shares = {
        Share.WITH_OVERDRAFT: balance_fen,
        Share.OVERDRAFT_LIMIT: limit_fen,
        Share.OVERDRAWN: max(limit_fen - balance_fen, 0),
        Share.WITHOUT_OVERDRAFT: max(balance_fen - limit_fen, 0),
    }
    return answered(session, shares[Share(command.p1)].to_bytes(4, "big"))


def _records(state: CardState, sfi: int) -> tuple[bytes, int] | None:
    if sfi == PURSE_LOG_SFI:
        return state.purse.log, PURSE_BYTES
    if sfi == TRIP_SFI:
        return state.trips, TRIP_BYTES
    if sfi == PAID_AREA_SFI:
        return state.paid_area, PAID_AREA_BYTES
    return None
