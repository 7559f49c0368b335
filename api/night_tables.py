"""A night in tables: rides on codes, what participants get, whom it was reconciled with."""

from collections.abc import Iterator

from rich.text import Text

from api.listings import Listing, figure, prose
from ledger.money import yuan
from settlement.reports import NightSummary


def code_rides_table(summary: NightSummary) -> Listing:
    """Rides on riders' codes by verdict, in yuan."""
    figures = map(figure, ("rides", "presented, yuan", "paid, yuan"))
    table = Listing("verdict", "money", *figures, title="Rides on codes")
    for row in summary.code_verdicts:
        amounts = (yuan(row.presented_fen), yuan(row.paid_fen))
        table.add(row.verdict, row.money, str(row.taps), *amounts)
    return table


def reconciled(summary: NightSummary) -> Iterator[str | Text]:
    """A line for each biller, and for the insurer, that the day was compared with."""
    for one in summary.peers:
        ours, theirs = (
            f"{one.ours_count} of {yuan(one.ours_fen)}",
            f"{one.theirs_count} of {yuan(one.theirs_fen)}",
        )
        if one.agrees:
            yield f"Reconciled with {one.peer}: {ours} yuan on both sides, line by line"
        else:
            yield Text.assemble(
                (f"{one.peer} differs", "red"),
                f": ours {ours} yuan, theirs {theirs}, {one.differing} lines; see peer_differences.csv",
            )


def operators_table(summary: NightSummary) -> Listing:
    """Each participant's gross, fee and net, in yuan, with the day the money moves."""
    figures = map(figure, ("gross", "fee", "net"))
    table = Listing("participant", prose("name"), *figures, "paid on", title="Participants, yuan")
    for row in summary.operators:
        value_date = str(row.value_date or row.standing)
        table.add(
            row.participant, row.name, yuan(row.gross_fen), yuan(row.fee_fen), yuan(row.net_fen), value_date
        )
    return table
