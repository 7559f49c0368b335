"""What clearing remembers of validators' own numbers: each counter's life, and the stretches that have come.

Not a row a tap: a terminal that loses nothing has one stretch for as long as its counter lives.
"""

from sqlalchemy import CheckConstraint, Column, Date, Index, Integer, String, Table

from ledger.db import Id, Instant, metadata

terminal_life = Table(
    "terminal_life",
    metadata,
    Column("operator", String(8), primary_key=True),
    Column("terminal", String(12), primary_key=True),
    Column("life", Integer, primary_key=True),  # from 1; the next begins when the counter starts anew
    Column("began_at", Instant),  # the tap that showed the new start; null: the first life known
    Column("last_at", Instant, nullable=False),  # its latest tap
    Column("heard_on", Date, nullable=False),  # the last night that brought one
    CheckConstraint("life >= 1", name="lives_are_counted_from_one"),
    CheckConstraint("(life = 1) = (began_at is null)", name="later_lives_have_a_beginning"),
)

terminal_run = Table(
    "terminal_run",
    metadata,
    Column("operator", String(8), primary_key=True),
    Column("terminal", String(12), primary_key=True),
    Column("life", Integer, primary_key=True),
    Column(
        "first_no", Id, primary_key=True
    ),  # numbers that have all come, counted on where the counter wraps
    Column("last_no", Id, nullable=False),
    Column("after_no", Id),  # the last number of the run before: what lies between is missing
    Column("gap_since", Date),  # the night that noticed it
    CheckConstraint("first_no <= last_no", name="run_is_not_empty"),
    CheckConstraint("(after_no is null) = (gap_since is null)", name="gap_is_whole"),
    CheckConstraint("after_no is null or after_no < first_no - 1", name="gap_is_not_empty"),
)
Index(
    "ix_terminal_run_gap",
    terminal_run.c.gap_since,
    sqlite_where=terminal_run.c.gap_since.is_not(None),
    postgresql_where=terminal_run.c.gap_since.is_not(None),
)

terminal_explained = Table(
    "terminal_explained",
    metadata,
    # Why numbers are asked for no longer though no tap came; append-only.
    Column("id", Id, primary_key=True),
    Column("operator", String(8), nullable=False),
    Column("terminal", String(12), nullable=False),
    Column(
        "first_no", Id, nullable=False
    ),  # as the terminal counts; the last is below where the counter wraps
    Column("last_no", Id, nullable=False),
    Column("missing", Id, nullable=False),  # how many of them were missing
    Column("by", String(64), nullable=False),
    Column("why", String(200), nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("missing > 0", name="something_was_missing"),
)
Index("ix_terminal_explained_terminal", terminal_explained.c.operator, terminal_explained.c.terminal)
