"""What the demonstration prints when it ends."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from api.listings import Listing, figure
from api.night_tables import code_rides_table, operators_table, reconciled
from city.banking import Banked
from city.demo import DemoDay
from city.family import Event
from city.home import CITY_ZONE
from ledger.money import yuan
from settlement.reports import NightSummary


def tell(
    console: Console, day: DemoDay, events: Sequence[Event], banked: Banked, night_folder: Path, home: Path
) -> None:
    """Print the family's day in its order with its postings, day, night and bank in figures, and where to go on."""
    summary = day.summary
    for event in sorted(events, key=lambda event: event.at):
        when = event.at.astimezone(CITY_ZONE).strftime("%H:%M")
        console.print(Text.assemble((f"{when} {event.title}", "bold"), f"  {event.said}"), soft_wrap=True)
        for posting in event.postings:
            amount = f"{yuan(posting.amount_fen):>12}"
            console.print(f"  {amount}  {posting.debit} → {posting.credit}", highlight=False, soft_wrap=True)
    console.print(
        f"\n{summary.business_date}: {len(day.lived.plan.riders)} cards, "
        f"loads of {yuan(day.lived.loaded_fen)} yuan, {len(day.lived.plan.taps)} rides.\n"
    )
    for line in _lists(day):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(_verdicts(summary))
    if summary.code_verdicts:
        console.print(code_rides_table(summary))
    console.print(operators_table(summary))
    for proved in (*reconciled(summary), *_proof(day)):
        console.print(proved, soft_wrap=True)
    console.print(_payments(banked))
    for line in _at_bank(banked):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"\nFiles: {night_folder / 'out'}")
    for mark in summary.files:
        console.print(f"  {mark.path}", highlight=False)
    console.print("\nNext:")
    for command, what in _next(day, home):
        console.print(Text.assemble("  ", (command, "green"), f"  {what}"), soft_wrap=True)


def _lists(day: DemoDay) -> Iterator[str]:
    """What the terminals were told, by the signed files of their depots' yard."""
    for when, told in zip(("beforehand", "this morning"), day.lived.told, strict=True):
        taken = ", ".join(f"{name} by {count}" for name, count in told.taken) or "nothing new"
        yield f"Terminals took {when}: {taken}"


def _verdicts(summary: NightSummary) -> Listing:
    by_money = summary.taps_by_money
    table = Listing("verdict", *map(figure, ("taps", "presented, yuan", "paid, yuan")), title="Taps")
    presented_fen = sum(row.presented_fen for row in summary.verdicts)
    table.add("presented", str(summary.presented), yuan(presented_fen), "", style="bold")
    for title, moneys in (
        ("accepted", ("paid",)),
        ("suspended", ("suspended",)),
        ("rejected", ("rejected", "none")),
    ):
        rows = [row for row in summary.verdicts if row.money in moneys]
        count = sum(by_money.get(money, 0) for money in moneys)
        paid_fen = sum(row.paid_fen for row in rows)
        presented_fen = sum(row.presented_fen for row in rows)
        table.add(title, str(count), yuan(presented_fen), yuan(paid_fen), style="bold")
        for row in rows:
            table.add(f"  {row.verdict}", str(row.taps), yuan(row.presented_fen), yuan(row.paid_fen))
    return table


def _proof(day: DemoDay) -> Iterator[str]:
    summary, chips = day.summary, day.chips
    yield f"Trial balance difference: {yuan(summary.difference_fen)} yuan"
    yield (
        f"Chips hold {yuan(chips.on_chips_fen)}, purses owe {yuan(chips.on_purses_fen)}: the difference is "
        f"{yuan(chips.debited_not_cleared_fen)} debited by taps not accepted; "
        f"{yuan(chips.unexplained_fen)} unexplained"
    )
    if summary.seal is not None:
        yield f"Seal of {summary.seal.entries} entries: root {summary.seal.root.hex()}"
        yield f"  signed by the HSM, key version {summary.seal.key_version}: {summary.seal.signature.hex()}"


def _payments(banked: Banked) -> Listing:
    table = Listing("payment", figure("yuan"), "state", "statement", title="At the bank")
    for one in banked.outcomes:
        table.add(one.end_to_end_id, yuan(one.amount_fen), one.state.replace("_", " "), one.statement)
    return table


def _at_bank(banked: Banked) -> Iterator[str]:
    for taken in banked.read:
        yield f"{taken.name}: {taken.message}"
    again, reserve = banked.again, banked.reserve
    yield (
        f"{banked.rejected} was rejected; {again.proposed_by} proposed to pay it on another account, "
        f"{again.decided_by} approved: {again.made}"
    )
    payable_fen = -sum(row.amount_fen for row in reserve.rows if row.what == "payable")
    yield (
        f"The custodian holds {yuan(reserve.custodian_fen)} yuan, the books "
        f"{yuan(reserve.books_fen)}; {yuan(reserve.rest_fen)} unexplained, {len(banked.open)} points open, "
        f"{yuan(payable_fen)} still payable"
    )


def _next(day: DemoDay, home: Path) -> Iterator[tuple[str, str]]:
    card = day.lived.plan.riders[0].card_no
    at_home = "" if home == Path("var") else f"ONECARD_HOME={home} "
    yield f"{at_home}make serve", "the finance page, and the holder's page; it shows the one-time codes"
    yield "  sign in as the mother", "her number, made up, is in the README; the father has reported a loss"
    yield f"{at_home}.venv/bin/onecard card {card}", "one rider's card: balance, pending, taps"
    yield (
        f"{at_home}.venv/bin/onecard trace {card} 1",
        "one ride, from its file to the bank's line that paid it",
    )
    yield f"{at_home}.venv/bin/onecard bank reserve", "what is owed against the custodian's balance"
    yield f"{at_home}.venv/bin/onecard ledger trial-balance", "the books"
