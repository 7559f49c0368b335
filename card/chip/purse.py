"""The purse on the card: whether a transaction may begin, and what it makes of the purse, as pure functions."""

from dataclasses import dataclass, replace

from card.chip.keys import Order
from card.chip.records import PURSE_BYTES, Kind, PurseRecord
from card.chip.status import StatusWord

MAX_BALANCE_FEN = 0x7FFFFFFF
"""Readers mask the topmost bit of the balance off, so it must stay clear."""
MAX_SEQUENCE = 0xFFFF
MAC_TRIES = 15
"""Wrong MACs in a row until the application locks itself for good; 4 bytes would bear guessing for years."""
LOG_RECORDS = 10
KEY_INDEX = 1


@dataclass(frozen=True, slots=True)
class Done:
    """The last transaction the purse completed, for GET TRANSACTION PROVE: `sequence` is the one after it."""

    kind: int
    sequence: int
    mac2: bytes
    tac: bytes


@dataclass(frozen=True, slots=True)
class Purse:
    """Money and counters of a card. `balance_fen` is what can be spent, the overdraft limit included.

    `log` holds up to ten records of 23 bytes, the newest first.
    """

    balance_fen: int = 0
    overdraft_limit_fen: int = 0
    purchase_sequence: int = 0
    load_sequence: int = 0
    mac_tries_left: int = MAC_TRIES
    done: Done | None = None
    log: bytes = b""


def judge_order(purse: Purse, order: Order, key_index: int) -> StatusWord:
    """Whether the purse can begin what INITIALIZE asks for; the first reason that applies refuses it."""
    loading = order.kind == Kind.LOAD
    sequence = purse.load_sequence if loading else purse.purchase_sequence
    if purse.mac_tries_left <= 0:
        return StatusWord.LOCKED_FOR_GOOD
    if key_index != KEY_INDEX:
        return StatusWord.KEY_INDEX
    if sequence >= MAX_SEQUENCE:
        return StatusWord.COUNTER_EXHAUSTED
    # A metro entry is a composite purchase of nothing; a plain purchase or a load of nothing is a mistake.
    if order.amount_fen == 0 and order.kind != Kind.CAPP_PURCHASE:
        return StatusWord.WRONG_DATA
    if loading and purse.balance_fen + order.amount_fen > MAX_BALANCE_FEN:
        return StatusWord.WRONG_DATA
    if not loading and order.amount_fen > purse.balance_fen:
        return StatusWord.FUNDS
    return StatusWord.DONE


def debited(purse: Purse, order: Order, *, moment: bytes, mac2: bytes, tac: bytes) -> Purse:
    """The purse after a purchase whose MAC1 was right."""
    sequence = purse.purchase_sequence + 1
    return Purse(
        purse.balance_fen - order.amount_fen,
        purse.overdraft_limit_fen,
        sequence,
        purse.load_sequence,
        done=Done(order.kind, sequence, mac2, tac),
        log=_logged(purse, order, sequence, moment),
    )


def credited(purse: Purse, order: Order, *, moment: bytes, mac2: bytes, tac: bytes) -> Purse:
    """The purse after a load whose MAC2 was right."""
    sequence = purse.load_sequence + 1
    return Purse(
        purse.balance_fen + order.amount_fen,
        purse.overdraft_limit_fen,
        purse.purchase_sequence,
        sequence,
        done=Done(order.kind, sequence, mac2, tac),
        log=_logged(purse, order, sequence, moment),
    )


def mac_refused(purse: Purse) -> Purse:
    """The purse after a wrong MAC: one try fewer, and nothing else."""
    return replace(purse, mac_tries_left=max(purse.mac_tries_left - 1, 0))


def _logged(purse: Purse, order: Order, sequence: int, moment: bytes) -> bytes:
    record = PurseRecord(
        sequence, purse.overdraft_limit_fen, order.amount_fen, order.kind, order.terminal, moment
    )
    return pushed(purse.log, record.pack(), LOG_RECORDS, PURSE_BYTES)


def pushed(records: bytes, record: bytes, keep: int, width: int) -> bytes:
    """A cyclic file, newest record first, with one more; of more than `keep` the oldest falls out."""
    return (record + records)[: keep * width]
