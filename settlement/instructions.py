"""Payment instructions: one for each participant that is owed money, on a day when banks settle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, insert, select

from settlement.agreements import Agreement
from settlement.calendar import Calendar
from settlement.netting import Position, Role, Standing
from settlement.participants import Participant
from settlement.tables import instruction as instruction_table


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
    conn: Connection, instructions: Sequence[Instruction], message_id: str, *, at: datetime
) -> None:
    """Keep instructions with the message they leave in; the database refuses an end-to-end id used before."""
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
            "state": "awaiting_bank",
            "created_at": at,
        }
        for one in instructions
    ]
    if rows:
        conn.execute(insert(instruction_table), rows)


def instructed_on(conn: Connection, business_date: date) -> dict[str, Instructed]:
    """The instructions of a business date, by participant."""
    query = select(*_COLUMNS).where(instruction_table.c.business_date == business_date)
    return {
        row.participant: Instructed(*row)
        for row in conn.execute(query.order_by(instruction_table.c.participant))
    }


def awaiting_bank(conn: Connection) -> list[Instructed]:
    """Instructions that the bank has not answered, the oldest value date first."""
    table = instruction_table.c
    query = select(*_COLUMNS).where(table.state == "awaiting_bank")
    return [Instructed(*row) for row in conn.execute(query.order_by(table.value_date, table.end_to_end_id))]


_COLUMNS = tuple(column for column in instruction_table.c if column.name != "created_at")
