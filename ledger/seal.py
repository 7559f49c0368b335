"""Seals: a day's entries, and all that was written down beside them, under one signed root; proofs for one payment."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, func, select

from ledger import tables
from ledger.accounts import Conflict
from ledger.archive import Archive
from ledger.day import DayOrderError, DayState, day_state
from ledger.entry import canonical_bytes, chain_start, digest
from ledger.events import Event, Happened, record_events
from ledger.journal import of_day, of_references, read_entries, whole
from ledger.merkle import audit_path, root_from_path, root_of
from ledger.registers import Registers, registers_at_cut_off, registers_root

PublicKey = Callable[[int], bytes]
"""The public key of the seals (Ed25519, 32 bytes) of a key version; LookupError where there is none."""

GENESIS = bytes(32)
"""What stands for the root before the first day's."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a day's root covers: its entries as a tree and as a chain, the registers, and the root before."""

    business_date: date
    entries: int
    merkle_root: bytes
    chain: bytes
    registers: Registers
    registers_root: bytes
    previous_root: bytes

    @property
    def root(self) -> bytes:
        """What is signed: `sealed_root` of the parts."""
        parts = (self.merkle_root, self.chain, self.registers_root, self.previous_root)
        return sealed_root(self.business_date, self.entries, *parts)


@dataclass(frozen=True, slots=True)
class Seal:
    """A day's contents and the HSM's signature over their root, which is `root`; `key_version` names the key."""

    contents: Contents
    root: bytes
    key_version: int
    signature: bytes
    sealed_at: datetime

    @property
    def business_date(self) -> date:
        return self.contents.business_date

    @property
    def entries(self) -> int:
        return self.contents.entries


@dataclass(frozen=True, slots=True)
class Proof:
    """That one entry is in a sealed day: its content, its place, the hashes to the tree's root, and the seal."""

    content: bytes
    index: int
    path: tuple[bytes, ...]
    seal: Seal


def day_contents(conn: Connection, business_date: date) -> Contents:
    """What is to be signed for a day; nothing is stored.

    The leaves are the digests under which entries were booked, which the checks of the books hold against
    entries and lines. Raises DayOrderError when the day still takes entries of others, or an earlier day has
    no seal yet.
    """
    if day_state(conn, business_date) not in (DayState.CLOSING, DayState.CLOSED):
        raise DayOrderError(f"day {business_date} is not closing or closed; begin its close first")
    previous = _previous(conn, business_date)
    leaves, chain = _leaves(conn, business_date)
    since = Registers(0, 0, 0) if previous is None else previous.contents.registers
    # Not what is there now: a night that is run again, or in which the next day trades, signs the same.
    registers = registers_at_cut_off(conn, business_date)
    return Contents(
        business_date,
        len(leaves),
        root_of(leaves),
        chain,
        registers,
        registers_root(conn, since, registers),
        GENESIS if previous is None else previous.root,
    )


def store_seal(
    conn: Connection, contents: Contents, key_version: int, signature: bytes, *, at: datetime
) -> Seal:
    """Keep a signed root. The same root again gives the seal as it was first stored.

    Raises DayOrderError when the day is not closed or has grown since, Conflict when another root is stored.
    """
    business_date = contents.business_date
    stored = seal_of(conn, business_date)
    if stored is not None:
        if stored.root != contents.root:
            raise Conflict(f"seal of {business_date}", stored.root.hex(), contents.root.hex())
        return stored
    if day_state(conn, business_date) is not DayState.CLOSED:
        raise DayOrderError(f"day {business_date} is not closed; finish its close before sealing it")
    # Entries are never changed or taken out, so that their number tells whether one came in since.
    query = select(func.count()).select_from(tables.entry).where(of_day(business_date))
    entries = conn.execute(query).scalar_one()
    if entries != contents.entries:
        raise DayOrderError(
            f"day {business_date} has {entries} entries, {contents.entries} were signed; sign again"
        )
    conn.execute(
        tables.seal.insert().values(
            business_date=business_date,
            entries=contents.entries,
            merkle_root=contents.merkle_root,
            chain=contents.chain,
            accounts=contents.registers.accounts,
            holds=contents.registers.holds,
            events=contents.registers.events,
            registers_root=contents.registers_root,
            previous_root=contents.previous_root,
            root=contents.root,
            key_version=key_version,
            signature=signature,
            sealed_at=at,
        )
    )
    record_events(conn, [Event(at, Happened.DAY_SEALED, business_date.isoformat(), contents.root.hex())])
    return Seal(contents, contents.root, key_version, signature, at)


def seal_of(conn: Connection, business_date: date) -> Seal | None:
    """The seal of a day, or None when it has none."""
    return next(iter(_seals(conn, business_date)), None)


def seals(conn: Connection) -> list[Seal]:
    """All seals, the oldest first."""
    return _seals(conn)


def prove(conn: Connection, reference: str, archive: Archive | None = None) -> Proof:
    """Prove to anyone that an entry is in the books. Raises LookupError when it is not, or not sealed yet.

    Of an archived entry the lines come from `archive`, and LinesArchived, a LookupError, says that it is needed.
    """
    found = next(read_entries(conn, of_references(conn, [reference]), archive=archive), None)
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
    leaves, _ = _leaves(conn, business_date)
    return Proof(canonical_bytes(whole(found).entry), index, audit_path(leaves, index), seal)


def verify_proof(proof: Proof, public_key: bytes) -> bool:
    """Whether a proof holds, by the seals' public key (Ed25519, 32 bytes) and nothing else."""
    contents = proof.seal.contents
    merkle_root = root_from_path(digest(proof.content), proof.index, contents.entries, proof.path)
    return merkle_root == contents.merkle_root and signature_holds(proof.seal, public_key)


def signature_holds(seal: Seal, public_key: bytes) -> bool:
    """Whether a seal's signature is over the root of what it says, by the public key (Ed25519, 32 bytes)."""
    return signed_by(public_key, seal.signature, seal.contents.root)


def signed_by(public_key: bytes, signature: bytes, root: bytes) -> bool:
    """Whether a signature (Ed25519, 64 bytes) over 32 bytes is that of a public key (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, root)
    except InvalidSignature:
        return False
    return True


def signed_under(public_key: PublicKey, key_version: int, signature: bytes, root: bytes) -> bool:
    """Whether a signature over 32 bytes is that of a key version; not where there is no such version."""
    try:
        return signed_by(public_key(key_version), signature, root)
    except LookupError:
        return False


def sealed_root(
    business_date: date,
    entries: int,
    merkle_root: bytes,
    chain: bytes,
    registers_root: bytes,
    previous_root: bytes,
) -> bytes:
    """SHA-256 over the label, the date in ASCII, the number of entries in 8 bytes, and the parts in order."""
    labelled = b"onecard/seal/v2" + business_date.isoformat().encode("ascii") + entries.to_bytes(8, "big")
    return hashlib.sha256(labelled + merkle_root + chain + registers_root + previous_root).digest()


def _leaves(conn: Connection, business_date: date) -> tuple[list[bytes], bytes]:
    """The digests of a day's entries in posting order, and the running hash at its end."""
    entry = tables.entry.c
    rows = conn.execute(
        select(entry.digest, entry.chain).where(of_day(business_date)).order_by(entry.id)
    ).all()
    return [bytes(row[0]) for row in rows], bytes(rows[-1][1]) if rows else chain_start(business_date)


def _previous(conn: Connection, business_date: date) -> Seal | None:
    query = select(func.max(tables.day.c.business_date)).where(tables.day.c.business_date < business_date)
    previous = conn.execute(query).scalar_one()
    if previous is None:
        return None
    seal = seal_of(conn, previous)
    if seal is None:
        raise DayOrderError(f"day {previous}, before {business_date}, has no seal; seal it first")
    return seal


def _seals(conn: Connection, business_date: date | None = None) -> list[Seal]:
    columns = tables.seal.c
    query = select(tables.seal).order_by(columns.business_date)
    if business_date is not None:
        query = query.where(columns.business_date == business_date)
    return [
        Seal(
            Contents(
                row.business_date,
                row.entries,
                bytes(row.merkle_root),
                bytes(row.chain),
                Registers(row.accounts, row.holds, row.events),
                bytes(row.registers_root),
                bytes(row.previous_root),
            ),
            bytes(row.root),
            row.key_version,
            bytes(row.signature),
            row.sealed_at,
        )
        for row in conn.execute(query)
    ]
