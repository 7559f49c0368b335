"""Links from a holder to records elsewhere: who may read which number, for what, until when - and who did.

The holder grants a reader one kind of link for one purpose until an instant. What a reader then learns is
what the purpose needs and nothing more. Every read is logged, refused ones too, and the holder sees the log.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from card.holders import holder_by_identity, is_holder, person_of
from card.identity import mask_identity, mask_name, mask_number
from card.link_policy import DISCLOSURES, read_refusal
from card.link_policy import Disclosure as Disclosure  # who reads a link needs these, and finds them here
from card.link_policy import Grant as Grant
from card.link_policy import LinkKind as LinkKind
from card.link_policy import LinkRefusal as LinkRefusal
from card.link_policy import Purpose as Purpose
from card.loss import is_locked
from card.tables import link_grant, link_number, link_read
from card.vault import Vault

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_NUMBER = re.compile(r"[A-Z0-9]{6,64}")
_HOLDER_LOGGED = 32

MESSAGES = {
    LinkRefusal.PURPOSE_NOT_FITTING: "this purpose needs no link of this kind; ask for what it needs",
    LinkRefusal.HOLDER_UNKNOWN: "there is no such holder; see the id",
    LinkRefusal.HOLDER_LOCKED: "the holder has reported a loss; wait until it is lifted",
    LinkRefusal.NUMBER_MALFORMED: "number is not 6 to 64 letters and digits; read it from the card again",
    LinkRefusal.NUMBER_DIFFERS: "the holder has another number of this kind; unlink that one first",
    LinkRefusal.NUMBER_TAKEN: "number is linked to another holder; see the card, and whose it is",
    LinkRefusal.EXPIRY_PAST: "expires_at has passed; ask the holder for a consent that lasts",
    LinkRefusal.NOT_GRANTED: "the holder has not let this reader read it; ask the holder",
    LinkRefusal.PURPOSE_NOT_GRANTED: "the holder has not let this reader read it for this purpose; ask the holder",
    LinkRefusal.REVOKED: "the holder has revoked the consent; ask the holder",
    LinkRefusal.EXPIRED: "the consent has expired; ask the holder",
}


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """Not done, and why; the message never holds a number."""

    reason: LinkRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Link:
    """A holder's consent: this reader may read this link for this purpose until then.

    `number` is that of the health card or social-security record. It may be empty where it is known: of an
    identity, which was enrolled, and of a record linked before.
    """

    holder: str
    kind: LinkKind
    number: str = field(repr=False)
    granted_to: str
    purpose: Purpose
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """The consent stands; `first_time` where this call made or prolonged it."""

    grant: Grant
    first_time: bool


@dataclass(frozen=True, slots=True)
class LinkView:
    """What the reader may learn: number and, of an identity, the name; masked or empty as the purpose has it."""

    holder: str
    kind: LinkKind
    purpose: Purpose
    disclosure: Disclosure
    number: str = field(repr=False)
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LinkRead:
    """One line of the log: who looked, for what, when, and what came of it (a disclosure or a refusal)."""

    id: int
    holder: str
    kind: str
    reader: str
    purpose: str
    read_at: datetime
    outcome: str


def grant(conn: Connection, vault: Vault, link: Link, *, at: datetime) -> Granted | LinkRefused:
    """Record the holder's consent. The same again changes nothing; another expiry takes the older's place.

    Raises ValueError where `granted_to` is no reader's name.
    """
    _require_reader("granted_to", link.granted_to)
    refusal = _grant_refusal(conn, vault, link, at)
    if refusal is not None:
        return _refused(refusal)
    _keep_number(conn, vault, link, at)
    standing = [
        one for one in _grants(conn, link.holder, link.kind, link.granted_to)
        if one.purpose is link.purpose and one.revoked_at is None and one.expires_at > at
    ]  # fmt: skip
    if standing and standing[0].expires_at == link.expires_at:
        return Granted(standing[0], first_time=False)
    revoke(conn, link.holder, link.kind, link.granted_to, at=at, purpose=link.purpose)
    made = Grant(link.holder, link.kind, link.granted_to, link.purpose, at, link.expires_at, None)
    conn.execute(
        insert(link_grant).values(
            holder=made.holder,
            kind=made.kind.value,
            granted_to=made.granted_to,
            purpose=made.purpose.value,
            granted_at=at,
            expires_at=made.expires_at,
        )
    )
    return Granted(made, first_time=True)


def revoke(
    conn: Connection,
    owner: str,
    kind: LinkKind,
    granted_to: str,
    *,
    at: datetime,
    purpose: Purpose | None = None,
) -> int:
    """End a reader's consents, all purposes or one; how many stood. A locked holder may do so too."""
    columns = link_grant.c
    condition = (columns.holder == owner) & (columns.kind == kind.value) & (columns.granted_to == granted_to)
    if purpose is not None:
        condition &= columns.purpose == purpose.value
    ended = update(link_grant).where(condition, columns.revoked_at.is_(None)).values(revoked_at=at)
    return conn.execute(ended).rowcount


def unlink(conn: Connection, owner: str, kind: LinkKind, *, at: datetime) -> bool:
    """Erase a linked number and end every consent to read it; whether there was one."""
    columns = link_grant.c
    standing = (columns.holder == owner) & (columns.kind == kind.value) & columns.revoked_at.is_(None)
    conn.execute(update(link_grant).where(standing).values(revoked_at=at))
    erased = delete(link_number).where(link_number.c.holder == owner, link_number.c.kind == kind.value)
    return conn.execute(erased).rowcount == 1


def grants_of(conn: Connection, owner: str) -> list[Grant]:
    """Every consent the holder gave, newest first, ended ones too."""
    return _grants(conn, owner)


def holder_by_link(conn: Connection, vault: Vault, kind: LinkKind, number: str) -> str | None:
    """The holder of a health card's or social-security record's number, by its blind index."""
    index = _number_index(vault, kind, _normal_number(number))
    return conn.scalars(select(link_number.c.holder).where(link_number.c.number_index == index)).one_or_none()


def read_link(
    conn: Connection,
    vault: Vault,
    owner: str,
    kind: LinkKind,
    *,
    reader: str,
    purpose: Purpose,
    at: datetime,
) -> LinkView | LinkRefused:
    """What a reader may learn of a link; logged whatever the answer, so commit after a refusal too.

    Raises ValueError where `reader` is no reader's name.
    """
    _require_reader("reader", reader)
    known = is_holder(conn, owner)
    grants = _grants(conn, owner, kind, reader) if known else []
    refusal = read_refusal(grants, kind, purpose, at=at, known=known, locked=known and is_locked(conn, owner))
    outcome = DISCLOSURES[kind, purpose] if refusal is None else refusal
    log_read(conn, owner, kind.value, reader=reader, purpose=purpose.value, outcome=outcome.value, at=at)
    if refusal is not None:
        return _refused(refusal)
    number, name = _disclosed(conn, vault, owner, kind, DISCLOSURES[kind, purpose])
    return LinkView(owner, kind, purpose, DISCLOSURES[kind, purpose], number, name)


def log_read(
    conn: Connection, owner: str, kind: str, *, reader: str, purpose: str, outcome: str, at: datetime
) -> None:
    """Write down that somebody looked at what is a holder's: what, for what, and how much was shown.

    For reads that need no consent, such as a counter's; those of links log themselves.
    """
    conn.execute(
        insert(link_read).values(
            holder=owner[:_HOLDER_LOGGED],
            kind=kind,
            reader=reader,
            purpose=purpose,
            read_at=at,
            outcome=outcome,
        )
    )


def reads_of(conn: Connection, owner: str, *, limit: int = 50, before: int | None = None) -> list[LinkRead]:
    """Who looked, newest first; `before` is the id of the last line of the page before."""
    columns = link_read.c
    query = select(link_read).where(columns.holder == owner).order_by(columns.id.desc()).limit(limit)
    if before is not None:
        query = query.where(columns.id < before)
    return [LinkRead(*row) for row in conn.execute(query)]


def _grant_refusal(conn: Connection, vault: Vault, link: Link, at: datetime) -> LinkRefusal | None:
    if (link.kind, link.purpose) not in DISCLOSURES:
        return LinkRefusal.PURPOSE_NOT_FITTING
    if not is_holder(conn, link.holder):
        return LinkRefusal.HOLDER_UNKNOWN
    if is_locked(conn, link.holder):
        return LinkRefusal.HOLDER_LOCKED
    flaw = _number_refusal(conn, vault, link)
    if flaw is not None:
        return flaw
    return LinkRefusal.EXPIRY_PAST if link.expires_at <= at else None


def _number_refusal(conn: Connection, vault: Vault, link: Link) -> LinkRefusal | None:
    ours = _linked(conn, link.holder, link.kind)
    if not link.number and (link.kind is LinkKind.IDENTITY or ours is not None):
        return None
    if link.kind is LinkKind.IDENTITY:
        same = holder_by_identity(conn, vault, link.number) == link.holder
        return None if same else LinkRefusal.NUMBER_DIFFERS
    number = _normal_number(link.number)
    if not _NUMBER.fullmatch(number):
        return LinkRefusal.NUMBER_MALFORMED
    if ours not in (None, _number_index(vault, link.kind, number)):
        return LinkRefusal.NUMBER_DIFFERS
    if holder_by_link(conn, vault, link.kind, number) not in (None, link.holder):
        return LinkRefusal.NUMBER_TAKEN
    return None


def _keep_number(conn: Connection, vault: Vault, link: Link, at: datetime) -> None:
    """Store a number linked for the first time; an identity is with the holder already."""
    if link.kind is LinkKind.IDENTITY or _linked(conn, link.holder, link.kind) is not None:
        return
    number = _normal_number(link.number)
    conn.execute(
        insert(link_number).values(
            holder=link.holder,
            kind=link.kind.value,
            number_index=_number_index(vault, link.kind, number),
            number_sealed=vault.seal(number, _about(link.holder, link.kind)),
            linked_at=at,
        )
    )


def _linked(conn: Connection, owner: str, kind: LinkKind) -> str | None:
    columns = link_number.c
    query = select(columns.number_index).where(columns.holder == owner, columns.kind == kind.value)
    return conn.scalars(query).one_or_none()


def _disclosed(
    conn: Connection, vault: Vault, owner: str, kind: LinkKind, disclosure: Disclosure
) -> tuple[str, str]:
    """Number and name as far as the reader may know them; what it may not know is not even opened."""
    if disclosure is Disclosure.EXISTS:
        return "", ""
    full = disclosure is Disclosure.FULL
    if kind is LinkKind.IDENTITY:
        person = person_of(conn, vault, owner)
        if person is None:
            raise LookupError(f"holder {owner} has no person; forgotten within this transaction")
        if full:
            return person.identity_no, person.name
        return mask_identity(person.identity_no), mask_name(person.name)
    columns = link_number.c
    query = select(columns.number_sealed).where(columns.holder == owner, columns.kind == kind.value)
    number = vault.open(conn.execute(query).scalar_one(), _about(owner, kind))
    return number if full else mask_number(number), ""


def _grants(
    conn: Connection, owner: str, kind: LinkKind | None = None, reader: str | None = None
) -> list[Grant]:
    columns = link_grant.c
    query = select(link_grant).where(columns.holder == owner).order_by(columns.id.desc())
    if kind is not None:
        query = query.where(columns.kind == kind.value)
    if reader is not None:
        query = query.where(columns.granted_to == reader)
    return [
        Grant(
            row.holder, LinkKind(row.kind), row.granted_to, Purpose(row.purpose),
            row.granted_at, row.expires_at, row.revoked_at,
        )
        for row in conn.execute(query)
    ]  # fmt: skip


def _number_index(vault: Vault, kind: LinkKind, number: str) -> str:
    return vault.index(f"number of {kind}", number).hex()


def _normal_number(text: str) -> str:
    return text.replace(" ", "").replace("-", "").upper()


def _about(owner: str, kind: LinkKind) -> str:
    return f"number of {kind} of {owner}"


def _require_reader(name: str, reader: str) -> None:
    if not _NAME.fullmatch(reader):
        raise ValueError(
            f"{name} is {reader!r}: give a participant's id, 1 to 32 letters, digits, dots and dashes"
        )


def _refused(refusal: LinkRefusal) -> LinkRefused:
    return LinkRefused(refusal, MESSAGES[refusal])
