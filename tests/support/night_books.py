"""What two nights are compared by: every row of every table, every file of a folder."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ledger.db import metadata, reading
from settlement.tables import night_step
from settlement.work_queue import Kind


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of ours, by table, in a fixed order."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with reading(engine) as conn:
        for table in metadata.sorted_tables:
            query = table.select().order_by(*table.primary_key.columns)
            rows[table.name] = [tuple(row) for row in conn.execute(query)]
    return rows


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def after_nights(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row, but for what tells how often a night was started: how long steps took, and its own refusals.

    Items of the work queue are known by what they are about, as a refusal that came first took a number.
    """
    rows = everything(engine)
    took = list(night_step.columns).index(night_step.c.duration_ms)
    rows["night_step"] = [(*row[:took], *row[took + 1 :]) for row in rows["night_step"]]
    about = {item[0]: item[1:3] for item in rows["work_item"]}
    rows["work_item"] = sorted(item[1:] for item in rows["work_item"] if item[1] != Kind.NIGHT_REFUSED)
    rows["work_event"] = sorted(
        (*about[number], *event)
        for number, *event in rows["work_event"]
        if about[number][0] != Kind.NIGHT_REFUSED
    )
    return rows


def csv_table(path: Path) -> list[dict[str, str]]:
    """The rows of a report by its column names."""
    return list(csv.DictReader(StringIO(path.read_bytes().decode("utf-8-sig"))))


def fen_of(yuan: str) -> int:
    """An amount as reports write it, in fen."""
    return int(yuan.replace(".", ""))


def statement_fen(statements: Path, participant: str, day: str) -> tuple[int, int]:
    """What a participant's statement says it is owed, and what its lines and what was before come to, in fen."""
    rows = list(
        csv.reader(StringIO((statements / f"{participant}-{day}.csv").read_bytes().decode("utf-8-sig")))
    )
    start = next(number for number, row in enumerate(rows) if row[:2] == ["file", "record"])
    head = {row[0]: row[1] for row in rows[:start] if len(row) == 2}
    paid = rows[start].index("paid yuan")
    lines_fen = sum(fen_of(row[paid]) for row in rows[start + 1 :])
    for name, column in (("codes", "paid yuan"), ("payments", "net yuan")):
        table = statements / f"{participant}-{day}-{name}.csv"
        if table.exists():
            lines_fen += sum(fen_of(row[column]) for row in csv_table(table))
    return fen_of(head["gross yuan"]), fen_of(head["brought forward yuan"]) + lines_fen
