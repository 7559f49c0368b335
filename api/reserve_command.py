"""`onecard bank reserve`: what customers and participants are owed against the custodian's balance, bridged."""

from datetime import datetime
from typing import Annotated

import typer

from api.days_meant import open_day
from api.doors import archive, books, console
from api.listings import Listing, figure, prose
from ledger.db import reading
from ledger.money import yuan
from settlement.bank.reserve import reserve_report


def reserve(
    business_date: Annotated[
        datetime | None,
        typer.Argument(formats=["%Y-%m-%d"], help="as of the end of that date; default: the open day"),
    ] = None,
) -> None:
    """The reserve-funds report: what customers and participants are owed against the custodian's balance."""
    with books() as engine, reading(engine) as conn:
        day = open_day(conn, business_date)
        found = reserve_report(conn, day, archive())
    table = Listing(
        "part", prose("what"), "since", figure("age days"), figure("yuan"), title=f"Reserve funds, {day}"
    )
    for row in found.rows:
        age = "" if row.age_days is None else str(row.age_days)
        table.add(row.part, row.what, str(row.since or ""), age, yuan(row.amount_fen))
    console.print(table)
    if found.statement is None:
        console.print("No statement was read yet: `onecard bank take`, or `read FILE`.")
    elif found.rest_fen:
        console.print(f"{yuan(found.rest_fen)} yuan of the difference are explained by nothing.", style="red")
    else:
        console.print("The custodian's balance and the books agree, but for what is listed.")
