"""What a replaced card held goes to the new one, once no tap of the old card can come any more.

`purse:{old}` and whatever waited in `load:{old}` go to `suspense:migration`, and from there to `load:{new}`: a
load that waits, which any counter writes onto the new card. The old card cannot be spent from any more, so
that what its chip says is of no account.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from card.closing import note_moved, take_balance
from card.issue import NotBooked
from card.life import Act, LifeRefused
from clearing.online.load import MIGRATION, LoadOrder, LoadRefused, authorise_loads, paying
from clearing.online.load_attempts import waiting_loads
from clearing.online.wallet_load import LoadReturn, return_loads


@dataclass(frozen=True, slots=True)
class Migrated:
    """The money of `old_card` waits to be written to `new_card` as the load `reference`, empty where it is 0."""

    old_card: str
    new_card: str
    moved_fen: int
    reference: str


def move_balance(conn: Connection, old_card: str, act: Act, *, business_date: date) -> Migrated | LifeRefused:
    """Move a replaced card's money to the new card's pending load; refused while late taps may come.

    Raises NotBooked where the ledger refuses; then the transaction is to be let go. `conn` comes from
    `ledger.db.writing`.
    """
    suspense = paying(MIGRATION, None)
    taken = take_balance(conn, old_card, act, account_code=suspense, business_date=business_date)
    if isinstance(taken, LifeRefused):
        return taken
    replaced, moved_fen = taken
    why = f"card {old_card} is replaced by {replaced.new_card}"
    for one in waiting_loads(conn, old_card):
        _require(
            return_loads(conn, [LoadReturn(one.reference, business_date, act.at, why, MIGRATION)], at=act.at)
        )
        moved_fen += one.amount_fen
    reference = f"{MIGRATION}:{old_card}" if moved_fen else ""
    if moved_fen:
        order = LoadOrder(replaced.new_card, moved_fen, MIGRATION, reference, business_date, act.at)
        _require(authorise_loads(conn, [order], at=act.at))
    note_moved(conn, old_card, moved_fen, act)
    return Migrated(old_card, replaced.new_card, moved_fen, reference)


def _require(answers: object) -> None:
    assert isinstance(answers, list)
    for answer in answers:
        if isinstance(answer, LoadRefused):
            raise NotBooked(f"load {answer.reference}: {answer.message}")
