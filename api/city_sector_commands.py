"""`onecard city schedule` and `prefund`: what social security needs before it pays or is paid."""

from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused, books, console, now
from api.tariff_files import text_of
from clearing.sectors.socialsecurity.funds import Prefunding, prefund, standing_of
from clearing.sectors.socialsecurity.schedule import parse_schedule, register_brackets
from clearing.sectors.socialsecurity.sheet import Flawed
from ledger.accounts import Conflict
from ledger.day import DayOrderError, current_day
from ledger.db import writing
from ledger.entry import Refused as EntryRefused
from ledger.money import read_yuan, yuan


def schedule(
    file: Annotated[Path, typer.Argument(help="a schedule of contributions (docs/formats/benefit-batch.md)")],
) -> None:
    """Enter what insurance costs in a year, by bracket; the same again changes nothing."""
    brackets = parse_schedule(text_of(file))
    if isinstance(brackets, Flawed):
        raise Refused("\n".join(f"{file}: {flaw.message}" for flaw in brackets.flaws))
    with books() as engine, writing(engine) as conn:
        try:
            new = register_brackets(conn, brackets)
        except Conflict as conflict:
            raise Refused(f"{file}: {conflict}") from conflict
    console.print(f"{new} of {len(brackets)} brackets are new")


def prefund_fund(
    fund: Annotated[str, typer.Argument(help="the agency's fund, such as BENEFIT-1")],
    amount: Annotated[str, typer.Argument(metavar="YUAN", help="what arrived, such as 100000.00")],
    *,
    reference: Annotated[str, typer.Option(help="the bank's own reference of the money; once for each")],
) -> None:
    """Book money that an agency sent ahead for benefits, when it has arrived at the reserve's bank."""
    amount_fen = read_yuan(amount)
    if not amount_fen or amount_fen < 0:
        raise Refused(f"{amount!r} is no amount above 0; give yuan, such as 100000.00")
    if not 0 < len(reference.strip()) <= 64:
        raise Refused(f"--reference {reference!r} is none; give the bank's, of 1 to 64 characters")
    with books() as engine, writing(engine) as conn:
        try:
            day = current_day(conn)
        except DayOrderError as error:
            raise Refused(f"{error}: `onecard city open`") from error
        if standing_of(conn, fund, day) is None:
            raise Refused(f"there is no fund {fund} on {day}; `onecard city show funds` lists them")
        (outcome,) = prefund(conn, [Prefunding(reference.strip(), fund, amount_fen, day, now())], at=now())
        if isinstance(outcome, EntryRefused):
            raise Refused(f"{outcome.reference}: {outcome.message}")
        standing = standing_of(conn, fund, day)
    assert standing is not None, "it was there a moment ago"
    console.print(
        f"{yuan(amount_fen)} yuan of {standing.agency} are in {fund}, which is good for {yuan(standing.available_fen)}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
