"""What finance asks of a night: steps, taps by verdict, who gets what, the trial balance, the seal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Table, func, select

from clearing.online.qr_tables import qr_ride
from clearing.qr_verdict import QrVerdict
from clearing.tables import batch_file, rejected_file, tap
from clearing.verdict import Verdict
from ledger.balances import Balance
from ledger.seal import Seal, seal_of
from ledger.snapshots import total_fen
from settlement.day_end import trial_balance_at
from settlement.instructions import Instructed, instructed_on
from settlement.netting import Position, Role
from settlement.night_log import FileMark, Run, StepRecord, recorded_steps, run_of
from settlement.participants import participants_of
from settlement.peers import PeerTotal, peers_reconciled
from settlement.positions import positions_of
from settlement.statement_lines import of_night


@dataclass(frozen=True, slots=True)
class VerdictTotal:
    """The night's taps, or rides on codes, with one verdict, in fen; `new` are those first presented this night."""

    verdict: str
    money: str
    taps: int
    new: int
    presented_fen: int
    paid_fen: int


@dataclass(frozen=True, slots=True)
class OperatorTotal:
    """What a participant gets for the business date; without a payment, id and value date are empty."""

    participant: str
    name: str
    gross_fen: int
    fee_fen: int
    net_fen: int
    standing: str
    end_to_end_id: str = ""
    value_date: date | None = None


@dataclass(frozen=True, slots=True)
class NightSummary:
    """One night in figures, as far as it has come; balances are those at the end of the business date."""

    business_date: date
    state: str
    booked_at: datetime | None
    refused: str
    steps: tuple[StepRecord, ...]
    files_accepted: int
    files_rejected: int
    verdicts: tuple[VerdictTotal, ...]
    code_verdicts: tuple[VerdictTotal, ...]  # of rides on riders' codes
    operators: tuple[OperatorTotal, ...]
    peers: tuple[PeerTotal, ...]
    positions: tuple[Position, ...]
    trial_balance: tuple[Balance, ...]
    purse_liabilities_fen: int
    pending_loads_fen: int
    seal: Seal | None
    files: tuple[FileMark, ...]

    @property
    def presented(self) -> int:
        """Taps presented for the first time this night."""
        return sum(row.new for row in self.verdicts)

    @property
    def taps_by_money(self) -> Mapping[str, int]:
        """Taps decided or presented this night, by what became of their money."""
        counts: dict[str, int] = {}
        for row in self.verdicts:
            counts[row.money] = counts.get(row.money, 0) + row.taps
        return counts

    @property
    def difference_fen(self) -> int:
        """What the trial balance is out by: debits less credits, 0 in sound books."""
        return sum(row.net_fen for row in self.trial_balance)


def night_summary(conn: Connection, business_date: date) -> NightSummary:
    """The figures of a business date's night, whether it is finished, stopped or not yet begun."""
    run: Run | None = run_of(conn, business_date)
    steps = tuple(recorded_steps(conn, business_date))
    positions = tuple(positions_of(conn, business_date))
    balances = tuple(trial_balance_at(conn, business_date))
    return NightSummary(
        business_date=business_date,
        state=run.state if run else "not started",
        booked_at=run.started_at if run else None,
        refused=f"{run.refused_step}: {run.refused_reason}" if run and run.refused_step else "",
        steps=steps,
        files_accepted=_count(conn, batch_file, business_date),
        files_rejected=_count(conn, rejected_file, business_date),
        verdicts=verdict_totals(conn, tap, tuple(Verdict), business_date),
        code_verdicts=verdict_totals(conn, qr_ride, tuple(QrVerdict), business_date),
        operators=_operators(conn, business_date, positions),
        peers=peers_reconciled(conn, business_date),
        positions=positions,
        trial_balance=balances,
        purse_liabilities_fen=_under(balances, "purse"),
        pending_loads_fen=_under(balances, "load"),
        seal=seal_of(conn, business_date),
        files=tuple(mark for record in steps for mark in record.files if mark.path.startswith("out/")),
    )


def verdict_totals(
    conn: Connection, table: Table, precedence: Sequence[str], business_date: date
) -> tuple[VerdictTotal, ...]:
    """What of `tap` or `qr_ride` this night was shown or decided, by verdict in the order of precedence."""
    columns = table.c
    query = (
        select(
            columns.verdict,
            columns.money,
            func.count(),
            func.count().filter(columns.business_date == business_date),
            total_fen(columns.amount_fen),
            total_fen(columns.paid_fen),
        )
        .where(of_night(table, business_date))
        .group_by(columns.verdict, columns.money)
    )
    rows = [VerdictTotal(*row) for row in conn.execute(query)]
    return tuple(sorted(rows, key=lambda row: (precedence.index(row.verdict), row.money)))


def _operators(
    conn: Connection, business_date: date, positions: tuple[Position, ...]
) -> tuple[OperatorTotal, ...]:
    names = {one.id: one.display_name for one in participants_of(conn).values()}
    paid: dict[str, Instructed] = instructed_on(conn, business_date)
    return tuple(
        OperatorTotal(
            row.party,
            names[row.party],
            row.gross_fen,
            row.fee_fen,
            row.position_fen,
            row.standing,
            paid[row.party].end_to_end_id if row.party in paid else "",
            paid[row.party].value_date if row.party in paid else None,
        )
        for row in positions
        if row.role is Role.PARTICIPANT
    )


def _count(conn: Connection, table: Table, business_date: date) -> int:
    query = select(func.count()).select_from(table).where(table.c.collected_on == business_date)
    return conn.execute(query).scalar_one()


def _under(balances: Iterable[Balance], segment: str) -> int:
    return sum(balance.balance_fen for balance in balances if balance.code == segment)
