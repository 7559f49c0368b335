"""`onecard ledger archive …`: what is done to the books rarely, and by a person who knows why."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.city_doors import city
from api.doors import Refused, books, console, now
from ledger.accounts import Conflict
from ledger.archiving import ArchiveRefused, archive_month
from ledger.db import writing
from ledger.opening import OPENING, OpeningRefused, import_opening


def archive_books(
    month: Annotated[
        datetime, typer.Argument(formats=["%Y-%m"], metavar="YYYY-MM", help="the oldest month not archived")
    ],
) -> None:
    """Put a closed month's lines into a signed file; PostgreSQL then drops them from the books."""
    with city() as opened:
        try:
            folder = opened.home.ledger_archive
            done, now_done = archive_month(opened.engine, month.date(), folder, opened.hsm.sign, at=now())
        except ArchiveRefused as error:
            raise Refused(str(error)) from error
    path = folder / done.name
    if now_done:
        console.print(f"{done.rows} lines of {done.month:%Y-%m} archived in {path}", soft_wrap=True)
    else:
        console.print(f"{done.month:%Y-%m} was archived before, in {path}; nothing changed.", soft_wrap=True)
    console.print(f"SHA-256 {done.sha256.hex()}, signed under key version {done.key_version}", soft_wrap=True)
    console.print("Keep a copy elsewhere: where the lines were dropped, this file is all there is of them.")


def import_balances(
    file: Annotated[Path, typer.Argument(help="CSV with the columns code,balance_yuan")],
    on: Annotated[
        datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="the open business day to book them on")
    ],
) -> None:
    """Book opening balances from a file: all of it as one entry, or nothing and every flaw named."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}; give the path of a file") from error
    try:
        with books() as engine, writing(engine) as conn:
            booked = import_opening(conn, data, on.date(), at=now())
    except OpeningRefused as error:
        for flaw in error.flaws:
            console.print(str(flaw), soft_wrap=True, highlight=False)
        raise Refused(
            f"{file}: nothing was booked; put right what is listed, {len(error.flaws)} in all"
        ) from error
    except Conflict as error:
        raise Refused(str(error)) from error
    if booked.first_time:
        console.print(f"{booked.reference} booked: {booked.accounts} accounts against {OPENING}")
    else:
        console.print(f"{booked.reference} was booked before with these balances; nothing changed.")
