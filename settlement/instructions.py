"""Payment instructions: one for each participant that is owed money, on a day when banks settle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, insert, select

from settlement.agreements import Agreement
from settlement.calendar import Calendar
from settlement.netting import Position, Role, Standing
from settlement.participants import Participant
from settlement.tables import instruction as instruction_table


class State(StrEnum):
    """Where an instruction stands: only a booked line of a statement makes it paid, and only one makes it returned."""

    AWAITING_BANK = "awaiting_bank"
    ACCEPTED = "accepted"
    PAID = "paid"
    REJECTED = "rejected"
    RETURNED = "returned"


UNDECIDED = (State.AWAITING_BANK, State.ACCEPTED)
"""What a statement is still to say something of."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """Pay `amount_fen` to `creditor` on `value_date`; its end-to-end id comes back from the bank."""

    end_to_end_id: str
    business_date: date
    creditor: Participant
    amount_fen: int
    value_date: date


@dataclass(frozen=True, slots=True)
class Instructed:
    """An instruction as it left: whatever becomes of the participant, its account is this one."""

    end_to_end_id: str
    business_date: date
    participant: str
    amount_fen: int
    value_date: date
    account_no: str
    bank_code: str
    message_id: str
    state: str
    state_on: date | None = (
        None  # the business day on which it became so; None: the bank has not said anything
    )
    paid_fen: int = 0  # what stands as paid after what came back
    reason: str = ""
    replaces: str | None = None  # the instruction that this one pays again

    @property
    def payment_id(self) -> str:
        """The payment block of its message that it left in."""
        return payment_id(self.message_id, self.value_date)

    @property
    def due_fen(self) -> int:
        """What of it has not reached the participant, whatever is on its way."""
        return self.amount_fen - self.paid_fen


def payment_id(message_id: str, value_date: date) -> str:
    """The id of a message's payment block (Max35Text): there is one for each value date."""
    return f"{message_id}-{value_date:%Y%m%d}"


def end_to_end_id(business_date: date, participant: str, attempt: int = 1) -> str:
    """At most 35 characters (Max35Text); a payment refused by the bank is tried under the next attempt."""
    made = f"{business_date:%Y%m%d}-{participant}-{attempt:02d}"
    if len(made) > 35:
        raise ValueError(f"end-to-end id {made!r} is longer than 35 characters; shorten the participant's id")
    return made


def instruct(
    positions: Sequence[Position],
    business_date: date,
    *,
    participants: Mapping[str, Participant],
    agreements: Mapping[str, Agreement],
    calendar: Calendar,
) -> list[Instruction]:
    """One instruction a netted participant with something left after the fee, by participant.

    Raises settlement.calendar.YearUnknown where nobody knows yet when banks settle.
    """
    return [
        Instruction(
            end_to_end_id=end_to_end_id(business_date, row.party),
            business_date=business_date,
            creditor=participants[row.party],
            amount_fen=row.position_fen,
            value_date=calendar.value_date(business_date, agreements[row.party].cycle.working_days),
        )
        for row in sorted(positions, key=lambda row: row.party)
        if row.role is Role.PARTICIPANT and row.standing is Standing.NETTED and row.position_fen > 0
    ]


def store_instructions(
    conn: Connection,
    instructions: Sequence[Instruction],
    message_id: str,
    *,
    at: datetime,
    replaces: str | None = None,
) -> None:
    """Keep instructions with the message they leave in; the database refuses an end-to-end id used before.

    One that `replaces` another pays it again; the database refuses a second one that does.
    """
    rows = [
        {
            "end_to_end_id": one.end_to_end_id,
            "business_date": one.business_date,
            "participant": one.creditor.id,
            "amount_fen": one.amount_fen,
            "value_date": one.value_date,
            "account_no": one.creditor.account_no,
            "bank_code": one.creditor.bank_code,
            "message_id": message_id,
            "state": State.AWAITING_BANK,
            "created_at": at,
            "replaces": replaces,
        }
        for one in instructions
    ]
    if rows:
        conn.execute(insert(instruction_table), rows)


def instructed_on(conn: Connection, business_date: date) -> dict[str, Instructed]:
    """The instructions of a business date, by participant: of those that were paid again, the last."""
    found = instructions_where(conn, instruction_table.c.business_date == business_date)
    return {one.participant: one for one in found}


def not_done(conn: Connection) -> list[Instructed]:
    """Instructions that have not reached their participant, or not whole, and were not paid again; the oldest first."""
    columns = instruction_table.c
    again = select(columns.replaces).where(columns.replaces.is_not(None))
    lacking = (columns.state != State.PAID) | (columns.paid_fen < columns.amount_fen)
    found = instructions_where(conn, lacking, columns.end_to_end_id.not_in(again))
    return sorted(found, key=lambda one: (one.value_date, one.end_to_end_id))


def instructions_where(conn: Connection, *where: ColumnElement[bool]) -> list[Instructed]:
    """The instructions that fulfil conditions on `settlement.tables.instruction`, by participant and attempt."""
    query = select(*_COLUMNS).where(*where)
    table = instruction_table.c
    return [Instructed(*row) for row in conn.execute(query.order_by(table.participant, table.end_to_end_id))]


_COLUMNS = tuple(column for column in instruction_table.c if column.name != "created_at")
