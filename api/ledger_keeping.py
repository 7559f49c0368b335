"""`onecard ledger archive …`: what is done to the books rarely, and by a person who knows why."""

from datetime import datetime
from typing import Annotated

import typer

from api.doors import Refused, city, console, now
from ledger.archiving import ArchiveRefused, archive_month


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
