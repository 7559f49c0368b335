"""What is remembered of other cities' clearing centres: who they are, what was handed over, what they said.

What a centre presents lies among operators' batches (`batch_file`, `tap`), as it is judged by the same rules.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    and_,
)

from clearing.tables import tap
from ledger.db import Fen, Id, Instant, metadata

centre = Table(
    "centre",
    metadata,
    Column("code", String(8), primary_key=True),  # also the participant that is paid
    Column("name", String(140), nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),  # exclusive; null: until further notice
    Column("max_amount_fen", Fen, nullable=False),  # what one tap of ours there may cost
    Column("registered_at", Instant, nullable=False),
    CheckConstraint("valid_until is null or valid_until > valid_from", name="period_is_not_empty"),
    CheckConstraint("max_amount_fen > 0", name="limit_is_positive"),
)

centre_issuer = Table(
    "centre_issuer",
    metadata,
    # Which centre answers for cards of an issuer, and from when until before when.
    Column("issuer", String(8), primary_key=True),
    Column("valid_from", Instant, primary_key=True),
    Column("valid_until", Instant),
    Column("centre", String(8), ForeignKey("centre.code"), nullable=False),
    CheckConstraint("length(issuer) = 8", name="issuer_is_8_digits"),
    CheckConstraint("valid_until is null or valid_until > valid_from", name="period_is_not_empty"),
)

centre_file = Table(
    "centre_file",
    metadata,
    # Files beside what a centre presents: taps that we handed to it, its results on them, our answers to its taps.
    Column("centre", String(8), ForeignKey("centre.code"), primary_key=True),
    Column("kind", String(9), primary_key=True),
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the whole file: its name in the archive
    Column("business_date", Date, nullable=False),  # of who made it, from the header
    Column("made_at", Instant, nullable=False),
    Column("record_count", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("registered_on", Date, nullable=False),  # the night's business date
    Column("delivered_at", Instant),  # null: a result of theirs, or a file of ours that they do not have yet
    Column("attempts", Integer, nullable=False),
    Column("last_word", String(500), nullable=False),
    CheckConstraint("kind in ('presented', 'result', 'answer')", name="kind_is_known"),
    CheckConstraint("number >= 1", name="number_starts_at_one"),
    CheckConstraint("record_count >= 0 and amount_fen >= 0", name="totals_are_not_negative"),
    UniqueConstraint("digest"),
)

centre_tap = Table(
    "centre_tap",
    metadata,
    # A tap of another city's card that was handed to its centre: once, and what came back.
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("centre", String(8), nullable=False),
    Column("number", Id, nullable=False),  # of the file it was handed over in
    Column("place", Integer, nullable=False),  # index of its record in that file, from 0
    Column("amount_fen", Fen, nullable=False),
    Column("code", Integer),  # null: not answered
    Column("result", Id),  # the number of the file that answered
    Column("answered_on", Date),
    ForeignKeyConstraint(
        ["operator", "sequence", "position"], ["tap.operator", "tap.sequence", "tap.position"]
    ),
    UniqueConstraint("centre", "number", "place"),
    CheckConstraint(
        "(code is null) = (result is null) and (code is null) = (answered_on is null)", name="answer_is_whole"
    ),
    Index("ix_centre_tap_answered_on", "answered_on"),
)
SAME_TAP = and_(*(centre_tap.c[name] == tap.c[name] for name in ("operator", "sequence", "position")))
"""That a row of `centre_tap` is about a row of `tap`."""
Index(
    "ix_centre_tap_waiting",
    centre_tap.c.centre,
    centre_tap.c.number,
    sqlite_where=centre_tap.c.code.is_(None),
    postgresql_where=centre_tap.c.code.is_(None),
)

centre_odd_line = Table(
    "centre_odd_line",
    metadata,
    # A line of a result file that fits no tap as it stands; kept, listed and tried again every night.
    Column("centre", String(8), primary_key=True),
    Column("result", Id, primary_key=True),
    Column("line", Integer, primary_key=True),  # index in the file, from 0
    Column("number", Id, nullable=False),  # the file of ours that it is about, and the place there
    Column("place", Id, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("code", Integer, nullable=False),
    Column("why", String(16), nullable=False),
    Column("found_on", Date, nullable=False),
    Column("settled_on", Date),  # null: still odd
    Column("settled_by", String(64)),
    Column("settled_why", String(200)),
    CheckConstraint(
        "why in ('code_unknown', 'tap_unknown', 'answered', 'amount_differs')", name="why_is_known"
    ),
    CheckConstraint(
        "(settled_on is null) = (settled_by is null) and (settled_on is null) = (settled_why is null)",
        name="settlement_is_whole",
    ),
    Index("ix_centre_odd_line_settled_on", "settled_on"),
)

centre_day = Table(
    "centre_day",
    metadata,
    # A day as it was last compared with a centre's own file of it.
    Column("centre", String(8), ForeignKey("centre.code"), primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("ours_count", Id, nullable=False),
    Column("ours_fen", Fen, nullable=False),
    Column("theirs_count", Id, nullable=False),
    Column("theirs_fen", Fen, nullable=False),
    Column("differing", Id, nullable=False),
    Column("agreed", Boolean, nullable=False),
    Column("compared_on", Date, nullable=False),
)
