"""`onecard ledger check` and `export`: the whole books gone through."""

import sys
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from api.doors import Refused, archive, books, console, write_text
from ledger.archive import ArchiveDamaged, LinesArchived
from ledger.checks import check_books
from ledger.db import reading
from ledger.export import write_beancount, write_hledger
from ledger.findings import Finding


class Format(StrEnum):
    """Plain-text accounting formats that the books can be written in."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"


WRITERS = {Format.HLEDGER: write_hledger, Format.BEANCOUNT: write_beancount}


def told_finding(finding: Finding) -> Text:
    """Which check found something, and what."""
    return Text.assemble((finding.check, "red"), f" {finding.message}")


def check() -> None:
    """Recompute every total from the lines; exit 1 and name each difference where there is one."""
    with books() as engine, reading(engine) as conn:
        findings = check_books(conn)
    for finding in findings:
        console.print(told_finding(finding), soft_wrap=True)
    if findings:
        raise Refused(
            f"{len(findings)} differences; nothing was changed: find their cause before the next night"
        )
    console.print("The books are sound.")


def export(
    format: Annotated[Format, typer.Option("--format", help="which tool's file to write")],
    output: Annotated[Path | None, typer.Option(help="file to write; default: the standard output")] = None,
) -> None:
    """Write the whole journal for hledger or Beancount."""
    text = StringIO()
    with books() as engine, reading(engine) as conn:
        try:
            entries = WRITERS[format](conn, text, archive())
        except (LinesArchived, ArchiveDamaged) as error:
            raise Refused(str(error.args[0])) from error
    if output is None:
        sys.stdout.write(text.getvalue())
    else:
        write_text(output, text.getvalue())
        console.print(f"{entries} entries written to {output}", soft_wrap=True)
