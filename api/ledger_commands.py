"""`onecard ledger …`: look at the books, check them, take them elsewhere."""

import json
import sys
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

import typer

from api.doors import Refused, archive, books, console
from api.listings import Listing, figure
from city.home import CITY_ZONE
from ledger.archive import ArchiveDamaged
from ledger.balances import Balance, balance, balance_at, balance_on, roll_up, totals
from ledger.db import reading
from ledger.history import Movement, history
from ledger.money import yuan

EVERY_PART = 99
"""More parts than a code can have: one row an account."""

On = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="at the end of this business date")]


def trial_balance(
    depth: Annotated[
        int | None,
        typer.Option(help="parts of a code that a row is named by; default: as in the chart", min=1),
    ] = None,
    under: Annotated[str, typer.Option(metavar="PREFIX", help="only accounts whose code starts so")] = "",
    on: On = None,
    as_json: Annotated[bool, typer.Option("--json", help="write JSON, amounts in fen")] = False,
) -> None:
    """Every account of the chart with its debits, credits and balance; the difference must be 0.00."""
    day = on.date() if on else None
    with books() as engine, reading(engine) as conn:
        if depth is None and not under:
            rows = totals(conn, day)
        else:
            rows = roll_up(conn, under, depth=depth or EVERY_PART, on=day)
    net_fen = sum(row.net_fen for row in rows)
    if as_json:
        sys.stdout.write(_as_json(rows, day, under, net_fen))
        return
    title = f"Trial balance{f' at the end of {day}' if day else ''}, yuan"
    table = Listing("account", "kind", *map(figure, ("debits", "credits", "balance")), title=title)
    for row in rows:
        table.add(row.code, row.kind, yuan(row.debits_fen), yuan(row.credits_fen), yuan(row.balance_fen))
    console.print(table)
    what = f"Debits less credits under {under}" if under else "Difference"
    console.print(f"{what}: {yuan(net_fen)} yuan", highlight=False)
    if not rows:
        console.print(
            f"No account starts with {under}." if under else "The books are empty; `onecard demo` fills them."
        )


def _as_json(rows: Sequence[Balance], day: date | None, under: str, net_fen: int) -> str:
    listed = [
        {
            "code": row.code,
            "kind": row.kind.value,
            "debits_fen": row.debits_fen,
            "credits_fen": row.credits_fen,
            "balance_fen": row.balance_fen,
        }
        for row in rows
    ]
    head = {"on": day.isoformat() if day else None, "under": under, "difference_fen": net_fen}
    return json.dumps({**head, "rows": listed}, indent=1) + "\n"


def account(
    code: Annotated[str, typer.Argument(help="such as clearing:METRO-1 or purse:03104870000000000001")],
    on: On = None,
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="what was booked until this instant, in city time"),
    ] = None,
    movements: Annotated[int, typer.Option("--history", help="newest movements to show", min=0)] = 20,
) -> None:
    """One account: its balance now, on a date and at an instant, and its newest movements."""
    with books() as engine, reading(engine) as conn:
        try:
            balances = [("now", balance(conn, code))]
            if on:
                balances.append((f"at the end of {on.date()}", balance_on(conn, code, on.date())))
            if at:
                instant = at.replace(tzinfo=CITY_ZONE)
                balances.append((f"at {at}", balance_at(conn, code, instant, archive())))
            rows = history(conn, code, limit=movements, archive=archive())
        except (LookupError, ArchiveDamaged) as error:
            raise Refused(str(error.args[0])) from error
    for when, found in balances:
        sides = f"debits {yuan(found.debits_fen)}, credits {yuan(found.credits_fen)}"
        console.print(
            f"{code} {when}: {yuan(found.balance_fen)} yuan ({sides})", highlight=False, soft_wrap=True
        )
    if rows:
        console.print(_movements(rows))


def _movements(rows: Sequence[Movement]) -> Listing:
    table = Listing("date", figure("entry"), "kind", "reference", "item", "other account", figure("yuan"))
    for row in rows:
        table.add(
            str(row.business_date), str(row.entry_id), row.kind, row.reference, row.item,
            row.counter_account, yuan(row.amount_fen),
        )  # fmt: skip
    return table
