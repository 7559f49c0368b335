"""What people propose to do with taps in suspense and what other people said to it: kept for good.

A proposal is written once with its taps; that it was approved, turned down, void or withdrawn is filled in once.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
)

from ledger.db import Fen, Id, Instant, metadata

suspense_proposal = Table(
    "suspense_proposal",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("decision", String(6), nullable=False),
    Column("reason", String(150), nullable=False),
    Column("proposed_by", String(64), nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("state", String(11), nullable=False),
    Column("decided_by", String(64)),  # null: nobody has yet; of what is withdrawn: who proposed it
    Column("decided_at", Instant),
    Column("decided_why", String(500)),  # of what was approved or is withdrawn: empty
    Column("business_date", Date),  # the open day that it was carried out on; null: it was not
    CheckConstraint("decision in ('pay', 'reject')", name="decision_is_known"),
    CheckConstraint(
        "state in ('proposed', 'approved', 'turned_down', 'void', 'withdrawn')", name="state_is_known"
    ),
    CheckConstraint(
        "(state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)"
        " and (decided_by is null) = (decided_why is null)",
        name="decision_is_whole",
    ),
    CheckConstraint("(state = 'approved') = (business_date is not null)", name="approved_is_carried_out"),
    CheckConstraint(
        "decided_by is null or (decided_by = proposed_by) = (state = 'withdrawn')", name="two_people_decide"
    ),
)

suspense_item = Table(
    "suspense_item",
    metadata,
    # A tap of a proposal, as it stood in suspense then, and what its operator is to get.
    Column("proposal", Id, ForeignKey("suspense_proposal.number"), primary_key=True),
    Column("operator", String(8), primary_key=True),
    Column("sequence", Id, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("verdict", String(24), nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("paid_fen", Fen, nullable=False),
    ForeignKeyConstraint(
        ["operator", "sequence", "position"], ["tap.operator", "tap.sequence", "tap.position"]
    ),
    CheckConstraint("paid_fen >= 0 and paid_fen <= amount_fen", name="paid_is_within_amount"),
    Index("ix_suspense_item_tap", "operator", "sequence", "position"),
)
