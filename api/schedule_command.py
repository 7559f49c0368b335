"""`onecard city schedule`: what insurance costs, before anybody pays for it."""

from pathlib import Path
from typing import Annotated

import typer

from api.doors import Refused, books, console
from api.tariff_files import text_of
from clearing.sectors.socialsecurity.schedule import parse_schedule, register_brackets
from clearing.sectors.socialsecurity.sheet import Flawed
from ledger.accounts import Conflict
from ledger.db import writing


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
