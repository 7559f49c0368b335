"""`onecard ledger …`: look at the books, check them, take them elsewhere."""

import sys
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from api.doors import Refused, books, console, write_text
from ledger.balances import totals
from ledger.checks import check_books
from ledger.db import reading
from ledger.export import write_beancount, write_hledger
from ledger.history import history
from ledger.money import yuan

ledger = typer.Typer(help="The books: trial balance, one account, checks, export.", no_args_is_help=True)


class Format(StrEnum):
    """Plain-text accounting formats that the books can be written in."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"


WRITERS = {Format.HLEDGER: write_hledger, Format.BEANCOUNT: write_beancount}


@ledger.command("trial-balance")
def trial_balance() -> None:
    """Every account of the chart with its debits, credits and balance; the difference must be 0.00."""
    with books() as engine, reading(engine) as conn:
        rows = totals(conn)
    table = Table("account", "kind", "debits", "credits", "balance", title="Trial balance, yuan")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.code, row.kind, yuan(row.debits_fen), yuan(row.credits_fen), yuan(row.balance_fen))
    console.print(table)
    console.print(f"Difference: {yuan(sum(row.net_fen for row in rows))} yuan")
    if not rows:
        console.print("The books are empty; `onecard demo` fills them.")


@ledger.command()
def account(
    code: Annotated[str, typer.Argument(help="such as clearing:METRO-1 or purse:03104870000000000001")],
    limit: Annotated[int, typer.Option(help="newest movements to show", min=1)] = 20,
) -> None:
    """One account's newest movements."""
    with books() as engine, reading(engine) as conn:
        try:
            rows = history(conn, code, limit=limit)
        except LookupError as error:
            raise Refused(str(error.args[0])) from error
    table = Table("date", "entry", "kind", "reference", "item", "other account", "yuan", title=code)
    table.columns[-1].justify = "right"
    for row in rows:
        table.add_row(
            str(row.business_date), str(row.entry_id), row.kind, row.reference, row.item, row.counter_account,
            yuan(row.amount_fen),
        )  # fmt: skip
    console.print(table)


@ledger.command()
def check() -> None:
    """Recompute every total from the lines; exit 1 and name each difference where there is one."""
    with books() as engine, reading(engine) as conn:
        findings = check_books(conn)
    for finding in findings:
        console.print(f"[red]{finding.check}[/red] {finding.message}")
    if findings:
        raise Refused(
            f"{len(findings)} differences; nothing was changed: find their cause before the next night"
        )
    console.print("The books are sound.")


@ledger.command()
def export(
    format: Annotated[Format, typer.Option("--format", help="which tool's file to write")],
    output: Annotated[Path | None, typer.Option(help="file to write; default: the standard output")] = None,
) -> None:
    """Write the whole journal for hledger or Beancount."""
    text = StringIO()
    with books() as engine, reading(engine) as conn:
        entries = WRITERS[format](conn, text)
    if output is None:
        sys.stdout.write(text.getvalue())
    else:
        write_text(output, text.getvalue())
        console.print(f"{entries} entries written to {output}", soft_wrap=True)
