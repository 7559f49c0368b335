"""The tables of the HTTP API: clients and their tokens, holders' codes and sessions, answers by key."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from ledger.db import Instant, metadata

client = Table(
    "api_client",
    metadata,
    Column("client_id", String(32), primary_key=True),
    Column("secret_salt", LargeBinary(16), nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("participant", String(16), nullable=False),
    # Scopes as in RFC 6749, section 3.3: sorted, one space between.
    Column("scopes", String(512), nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

token = Table(
    "api_token",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("client_id", String(32), ForeignKey("api_client.client_id"), nullable=False),
    Column("scopes", String(512), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    CheckConstraint("expires_at > issued_at", name="expiry_follows_issue"),
)
Index("ix_api_token_expires_at", token.c.expires_at)

code = Table(
    "api_code",
    metadata,
    Column("challenge", String(32), primary_key=True),
    # The blind index of what was asked for, known to us or not: the rate limit counts by it.
    Column("asked_index", LargeBinary(32), nullable=False),
    # Null where nobody is enrolled so: the answer to the asker is the same.
    Column("holder", String(16)),
    Column("code_hash", LargeBinary(32), nullable=False),
    Column("attempts_left", Integer, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    CheckConstraint("attempts_left >= 0", name="attempts_are_bounded"),
)
Index("ix_api_code_asked_index", code.c.asked_index, code.c.issued_at)

session = Table(
    "api_session",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("holder", String(16), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    CheckConstraint("expires_at > issued_at", name="expiry_follows_issue"),
)
Index("ix_api_session_holder", session.c.holder)

answer = Table(
    "api_answer",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("idempotency_key", String(64), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("begun_at", Instant, nullable=False),
    # Null while the first request is still being answered.
    Column("status", Integer),
    Column("media_type", String(64)),
    Column("body", Text),
    CheckConstraint("(status is null) = (body is null)", name="answered_or_not"),
)
Index("ix_api_answer_begun_at", answer.c.begun_at)
