"""A terminal's durable memory: an SQLite file that is written through before a statement returns."""

import sqlite3
from pathlib import Path
from typing import Literal

Sync = Literal["full", "off"]
"""`off` gives up durability against power loss, for simulations."""


def opened(path: Path, schema: str, sync: Sync = "full") -> sqlite3.Connection:
    """Open the file, made anew where there is none; each statement is a transaction unless one is begun."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "journal_mode=WAL",
        f"synchronous={sync.upper()}",
        "foreign_keys=ON",
        "busy_timeout=10000",
    ):
        db.execute(f"PRAGMA {pragma}")
    db.executescript(schema)
    return db
