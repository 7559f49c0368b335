"""Seals: a day's entries under one signed root that covers every day before, and proofs for one payment."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, func, select

from ledger import tables
from ledger.accounts import Conflict
from ledger.day import DayOrderError, DayState, day_state
from ledger.entry import canonical_bytes, digest
from ledger.journal import of_day, of_references, read_entries
from ledger.merkle import audit_path, root_from_path, root_of

GENESIS = bytes(32)
"""What stands for the root before the first day's."""


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What is to be signed for a day; nothing is stored yet."""

    business_date: date
    entries: int
    merkle_root: bytes
    previous_root: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """A day's root and the HSM's signature over it; `key_version` names the key."""

    business_date: date
    entries: int
    merkle_root: bytes
    previous_root: bytes
    root: bytes
    key_version: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """That one entry is in a sealed day: its content, its place, the hashes to the root, and the seal."""

    content: bytes
    index: int
    path: tuple[bytes, ...]
    seal: Seal


def day_root(business_date: date, entries: int, merkle_root: bytes, previous_root: bytes) -> bytes:
    """SHA-256 over the label, the date in ASCII, the number of entries in 8 bytes, and the two roots."""
    labelled = b"onecard/seal/v1" + business_date.isoformat().encode("ascii") + entries.to_bytes(8, "big")
    return hashlib.sha256(labelled + merkle_root + previous_root).digest()


def day_digest(conn: Connection, business_date: date) -> Unsealed:
    """Compute a day's root from the entries and lines themselves.

    Raises DayOrderError when the day still takes entries of others, or an earlier day has no seal yet.
    """
    if day_state(conn, business_date) not in (DayState.CLOSING, DayState.CLOSED):
        raise DayOrderError(f"day {business_date} is not closing or closed; begin its close first")
    previous_root = _previous_root(conn, business_date)
    leaves = _leaves(conn, business_date)
    merkle_root = root_of(leaves)
    root = day_root(business_date, len(leaves), merkle_root, previous_root)
    return Unsealed(business_date, len(leaves), merkle_root, previous_root, root)


def store_seal(
    conn: Connection, unsealed: Unsealed, key_version: int, signature: bytes, *, at: datetime
) -> Seal:
    """Keep a signed root. The same root again gives the seal as it was first stored.

    Raises DayOrderError when the day is not closed or has grown since, Conflict when another root is stored.
    """
    stored = seal_of(conn, unsealed.business_date)
    if stored is not None:
        if stored.root != unsealed.root:
            raise Conflict(f"seal of {unsealed.business_date}", stored.root.hex(), unsealed.root.hex())
        return stored
    if day_state(conn, unsealed.business_date) is not DayState.CLOSED:
        raise DayOrderError(f"day {unsealed.business_date} is not closed; finish its close before sealing it")
    # Entries are never changed or taken out, so that their number tells whether one came in since.
    query = select(func.count()).select_from(tables.entry).where(of_day(unsealed.business_date))
    entries = conn.execute(query).scalar_one()
    if entries != unsealed.entries:
        raise DayOrderError(
            f"day {unsealed.business_date} has {entries} entries, {unsealed.entries} were signed; sign again"
        )
    seal = Seal(
        unsealed.business_date,
        unsealed.entries,
        unsealed.merkle_root,
        unsealed.previous_root,
        unsealed.root,
        key_version,
        signature,
    )
    conn.execute(
        tables.seal.insert().values(
            business_date=seal.business_date,
            entries=seal.entries,
            merkle_root=seal.merkle_root,
            previous_root=seal.previous_root,
            root=seal.root,
            key_version=key_version,
            signature=signature,
            sealed_at=at,
        )
    )
    return seal


def seal_of(conn: Connection, business_date: date) -> Seal | None:
    """The seal of a day, or None when it has none."""
    return next(iter(_seals(conn, business_date)), None)


def seals(conn: Connection) -> list[Seal]:
    """All seals, the oldest first."""
    return _seals(conn)


def prove(conn: Connection, reference: str) -> Proof:
    """Prove to anyone that an entry is in the books. Raises LookupError when it is not, or not sealed yet."""
    found = next(read_entries(conn, of_references(conn, [reference])), None)
    if found is None:
        raise LookupError(f"no entry {reference!r} is in the books; check the reference")
    business_date = found.entry.business_date
    seal = seal_of(conn, business_date)
    if seal is None:
        raise LookupError(
            f"entry {reference!r} is of {business_date}, which is not sealed yet; ask after its night"
        )
    earlier = select(func.count()).select_from(tables.entry).where(of_day(business_date))
    index = conn.execute(earlier.where(tables.entry.c.id < found.entry_id)).scalar_one()
    path = audit_path(_leaves(conn, business_date), index)
    return Proof(canonical_bytes(found.entry), index, path, seal)


def verify_proof(proof: Proof, public_key: bytes) -> bool:
    """Whether a proof holds, by the seals' public key (Ed25519, 32 bytes) and nothing else."""
    seal = proof.seal
    merkle_root = root_from_path(digest(proof.content), proof.index, seal.entries, proof.path)
    if merkle_root is None:
        return False
    root = day_root(seal.business_date, seal.entries, merkle_root, seal.previous_root)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(seal.signature, root)
    except InvalidSignature:
        return False
    return True


def _leaves(conn: Connection, business_date: date) -> list[bytes]:
    # From the rows, not from the digests kept beside them: a seal vouches for what the books say.
    return [digest(canonical_bytes(found.entry)) for found in read_entries(conn, of_day(business_date))]


def _previous_root(conn: Connection, business_date: date) -> bytes:
    query = select(func.max(tables.day.c.business_date)).where(tables.day.c.business_date < business_date)
    previous = conn.execute(query).scalar_one()
    if previous is None:
        return GENESIS
    seal = seal_of(conn, previous)
    if seal is None:
        raise DayOrderError(f"day {previous}, before {business_date}, has no seal; seal it first")
    return seal.root


def _seals(conn: Connection, business_date: date | None = None) -> list[Seal]:
    columns = tables.seal.c
    query = select(
        columns.business_date,
        columns.entries,
        columns.merkle_root,
        columns.previous_root,
        columns.root,
        columns.key_version,
        columns.signature,
    ).order_by(columns.business_date)
    if business_date is not None:
        query = query.where(columns.business_date == business_date)
    return [Seal(*row) for row in conn.execute(query)]
