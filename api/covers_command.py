"""`onecard city covers`: the insurance authority's list of who is insured how."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from api.city_doors import city
from api.doors import Refused, console, now
from api.tariff_files import bytes_of
from card.vault import open_vault
from clearing.sectors.healthcare.cover_file import CoverLine, read_cover_file
from clearing.sectors.healthcare.covering import enter_covers
from clearing.sectors.socialsecurity.directory import HolderDirectory
from clearing.sectors.socialsecurity.sheet import Flawed, masked
from ledger.db import writing

SHOWN = 20


def covers(
    file: Annotated[Path, typer.Argument(help="the authority's list (docs/formats/cover-list.md)")],
) -> None:
    """Enter who is insured how; a period that begins ends the one before it, the same list again changes nothing."""
    lines = read_cover_file(bytes_of(file))
    if isinstance(lines, Flawed):
        raise Refused("\n".join(f"{file}: {flaw.message}" for flaw in lines.flaws))
    with city() as opened:
        vault = open_vault(opened.engine, opened.hsm, random=secrets.token_bytes, at=now())
        with writing(opened.engine) as conn:
            done = enter_covers(conn, HolderDirectory(vault), lines, at=now())
    _say(f"lines: {len(lines):,}; {done.new:,} periods begin, {done.ended:,} end")
    for line, rival in done.clashing[:SHOWN]:
        until = rival.valid_to or "no day yet"
        held = f"{rival.category.value} holds from {rival.valid_from} to {until}"
        _say(f"{_of(line)}: left out, as {held}; compare with the authority")
    for line in done.strangers[:SHOWN]:
        _say(f"{_of(line)}: is not enrolled here; bring the list again when they are")
    for what, many in (("clash", len(done.clashing)), ("are not enrolled", len(done.strangers))):
        if many > SHOWN:
            _say(f"and {many - SHOWN:,} more lines that {what}")


def _of(line: CoverLine) -> str:
    return f"line {line.line}, {masked(line.identity_no)}"


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)
