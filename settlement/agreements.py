"""Agreements: what a participant pays for clearing, and when it gets its money."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, func, insert, or_, select, update

from ledger.accounts import Conflict
from ledger.money import split_fen
from settlement.tables import agreement as agreement_table
from settlement.tables import position

WHOLE_BP = 10_000


class Cycle(StrEnum):
    """How many working days after the business date the money moves."""

    SAME_DAY = "T+0"
    NEXT_DAY = "T+1"

    @property
    def working_days(self) -> int:
        """Working days between the business date and the value date."""
        return int(self.value.removeprefix("T+"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """One participant's terms; the fee is `fee_bp` of the gross, between a minimum and a maximum."""

    participant: str
    fee_bp: int
    valid_from: date
    valid_to: date | None = None
    cycle: Cycle = Cycle.NEXT_DAY
    fee_min_fen: int = 0
    fee_max_fen: int | None = None

    def __post_init__(self) -> None:
        who = f"agreement of {self.participant} from {self.valid_from}"
        if not 0 <= self.fee_bp <= WHOLE_BP:
            raise ValueError(f"{who}: fee_bp {self.fee_bp} is not a share; give 0 to {WHOLE_BP} basis points")
        if self.fee_min_fen < 0 or (self.fee_max_fen is not None and self.fee_max_fen < self.fee_min_fen):
            raise ValueError(
                f"{who}: fee_min_fen {self.fee_min_fen} and fee_max_fen {self.fee_max_fen} leave no fee "
                "possible; give a minimum of at least 0 and a maximum not below it"
            )
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"{who}: valid_to {self.valid_to} lies before it; give a later day or none")

    def holds_on(self, day: date) -> bool:
        """Whether the terms are in force on that business date; both ends are included."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def share(self, gross_fen: int) -> tuple[int, int]:
        """Split a gross that is not negative into (net, fee), in fen; the fee never exceeds the gross."""
        _, fee_fen = split_fen(gross_fen, [WHOLE_BP - self.fee_bp, self.fee_bp])
        fee_fen = max(fee_fen, self.fee_min_fen)
        if self.fee_max_fen is not None:
            fee_fen = min(fee_fen, self.fee_max_fen)
        fee_fen = min(fee_fen, gross_fen)
        return gross_fen - fee_fen, fee_fen


def register_agreements(conn: Connection, agreements: Iterable[Agreement], *, at: datetime) -> int:
    """Register those that are new and return how many; the same again changes nothing.

    Raises ledger.accounts.Conflict where two agreements of a participant hold on one day.
    """
    known = every_agreement(conn)
    new: list[Agreement] = []
    for one in agreements:
        if one in known:
            continue
        rival = next((other for other in known if _overlap(one, other)), None)
        if rival is not None:
            raise Conflict(f"agreement of {one.participant}", rival, one)
        known.append(one)
        new.append(one)
    if new:
        conn.execute(insert(agreement_table), [asdict(one) | {"registered_at": at} for one in new])
    return len(new)


def agreements_on(conn: Connection, day: date) -> Mapping[str, Agreement]:
    """The agreement in force on a business date, by participant."""
    table = agreement_table.c
    query = select(*_COLUMNS).where(
        table.valid_from <= day, or_(table.valid_to.is_(None), table.valid_to >= day)
    )
    return {one.participant: one for one in _agreements(conn, query.order_by(table.participant))}


_COLUMNS = tuple(
    agreement_table.c[name]
    for name in ("participant", "fee_bp", "valid_from", "valid_to", "cycle", "fee_min_fen", "fee_max_fen")
)


def every_agreement(conn: Connection) -> list[Agreement]:
    """All agreements there ever were, by participant and first day."""
    return _agreements(conn, select(*_COLUMNS).order_by(*agreement_table.primary_key.columns))


def end_agreement(conn: Connection, participant: str, *, last_day: date) -> Agreement | None:
    """End the agreement of a participant that holds on `last_day` with it; None where none does.

    Raises ValueError where a night has netted by it after that day.
    """
    held = agreements_on(conn, last_day).get(participant)
    if held is None:
        return None
    table = agreement_table.c
    netted = conn.scalar(select(func.max(position.c.business_date)).where(position.c.party == participant))
    if netted is not None and netted > last_day:
        raise ValueError(
            f"{participant} was netted on {netted} by its agreement; give that day or a later one as the last"
        )
    conn.execute(
        update(agreement_table)
        .where(table.participant == participant, table.valid_from == held.valid_from)
        .values(valid_to=last_day)
    )
    return replace(held, valid_to=last_day)


def _agreements(conn: Connection, query: Select[Any]) -> list[Agreement]:
    return [Agreement(**{**row, "cycle": Cycle(row["cycle"])}) for row in conn.execute(query).mappings()]


def _overlap(one: Agreement, other: Agreement) -> bool:
    return one.participant == other.participant and (
        one.holds_on(other.valid_from) or other.holds_on(one.valid_from)
    )
