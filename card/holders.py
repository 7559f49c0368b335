"""Holders: one person, one identity, many cards, one set of pockets.

The ledger and everything else knows a holder by an id that means nothing; who it is stands here alone,
sealed, and can be forgotten without touching anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, insert, select, update

from card.identity import normal_identity
from card.loss import is_locked
from card.person import MaskedPerson as MaskedPerson  # callers need these two, and find them here
from card.person import Person as Person
from card.person import (
    differing_fields,
    mask_person,
    normal_person,
    open_person,
    person_flaw,
    seal_person,
)
from card.tables import card, held_card, holder, link_grant, link_number
from card.vault import Vault
from ledger.accounts import open_accounts
from ledger.bulk import insert_rows, one_of
from ledger.chart import account

POCKETS = ("wallet", "medical", "subsidy")
"""The accounts that every holder has."""
ACTIVE = "active"
_CITY_ZONE = ZoneInfo("Asia/Shanghai")
_HALF = 100_000
_TURNS = 8


@dataclass(frozen=True, slots=True)
class HeldCard:
    """A card that a holder is tied to, and what the register says of it."""

    card_no: str
    tied_at: datetime
    status: str
    holder_class: int


class HolderRefusal(StrEnum):
    """Why the register of holders does not do it, in order of precedence: the first that applies."""

    IDENTITY_MALFORMED = "identity_malformed"
    NAME_MALFORMED = "name_malformed"
    PHONE_MALFORMED = "phone_malformed"
    PERSON_DIFFERS = "person_differs"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_LOCKED = "holder_locked"
    CARD_UNKNOWN = "card_unknown"
    CARD_TIED_ELSEWHERE = "card_tied_elsewhere"
    CARD_NOT_ACTIVE = "card_not_active"


@dataclass(frozen=True, slots=True)
class HolderRefused:
    """Not done, and why. The message names the field and the remedy, never what stands in the field."""

    reason: HolderRefusal
    message: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The person is a holder; `first_time` where this call made one."""

    holder: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class Tied:
    """The card is the holder's; `first_time` where this call tied it."""

    holder: str
    card_no: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nothing personal of the holder is stored any more; `first_time` where this call erased it."""

    holder: str
    first_time: bool


def enrol(conn: Connection, vault: Vault, person: Person, *, at: datetime) -> Enrolled | HolderRefused:
    """Make a person a holder, with the accounts of the pockets; the same identity is the same holder.

    Refuses a known identity with another name or telephone: `amend` corrects those.
    """
    return enrol_all(conn, vault, [person], at=at)[0]


def enrol_all(
    conn: Connection, vault: Vault, persons: Sequence[Person], *, at: datetime
) -> list[Enrolled | HolderRefused]:
    """As `enrol` for many, in order, by a bounded number of statements; a refused one sinks no other."""
    normal = [normal_person(person) for person in persons]
    flaws = [_flaw(person, at) for person in normal]
    indexes = [
        _identity_index(vault, person.identity_no) if flaw is None else ""
        for person, flaw in zip(normal, flaws, strict=True)
    ]
    known = _known(conn, vault, [index for index in indexes if index])
    number = conn.execute(select(func.coalesce(func.max(holder.c.number), 0))).scalar_one()
    answers: list[Enrolled | HolderRefused] = []
    new: list[tuple[str, int, str, Person]] = []
    for person, flaw, index in zip(normal, flaws, indexes, strict=True):
        if flaw is not None:
            answers.append(flaw)
        elif index in known:
            owner, ours = known[index]
            answers.append(_differing(owner, ours, person) or Enrolled(owner, first_time=False))
        else:
            number += 1
            owner = _holder_id(vault, number)
            known[index] = owner, person
            new.append((owner, number, index, person))
            answers.append(Enrolled(owner, first_time=True))
    insert_rows(
        conn,
        holder,
        (
            (owner, number, index, *seal_person(vault, owner, person), at, None)
            for owner, number, index, person in new
        ),
    )
    open_accounts(conn, [account(f"{pocket}:{owner}") for owner, *_ in new for pocket in POCKETS], at=at)
    return answers


def amend(
    conn: Connection, vault: Vault, owner: str, *, name: str, phone: str, at: datetime
) -> Enrolled | HolderRefused:
    """Correct a holder's name and telephone; the identity stays."""
    ours = person_of(conn, vault, owner)
    if ours is None:
        return _unknown(owner)
    person = normal_person(replace(ours, name=name, phone=phone))
    flaw = _flaw(person, at)
    if flaw is not None:
        return flaw
    _, name_sealed, phone_sealed = seal_person(vault, owner, person)
    conn.execute(
        update(holder).where(holder.c.id == owner).values(name_sealed=name_sealed, phone_sealed=phone_sealed)
    )
    return Enrolled(owner, first_time=False)


def is_holder(conn: Connection, owner: str) -> bool:
    """Whether the id is that of a holder who has not been forgotten."""
    columns = holder.c
    query = select(columns.id).where(columns.id == owner, columns.forgotten_at.is_(None))
    return conn.execute(query).first() is not None


def holder_by_identity(conn: Connection, vault: Vault, identity_no: str) -> str | None:
    """The holder of an identity number, found by its blind index, or None."""
    index = _identity_index(vault, normal_identity(identity_no))
    return conn.scalars(select(holder.c.id).where(holder.c.identity_index == index)).one_or_none()


def person_of(conn: Connection, vault: Vault, owner: str) -> Person | None:
    """Who the holder is, unmasked: only for what needs it. None where unknown or forgotten."""
    columns = holder.c
    query = select(columns.identity_sealed, columns.name_sealed, columns.phone_sealed)
    row = conn.execute(query.where(columns.id == owner, columns.forgotten_at.is_(None))).one_or_none()
    return None if row is None else open_person(vault, owner, row)


def masked(conn: Connection, vault: Vault, owner: str) -> MaskedPerson | None:
    """Who the holder is, as far as an answer may show it. None where unknown or forgotten."""
    person = person_of(conn, vault, owner)
    return None if person is None else mask_person(person)


def tie_card(conn: Connection, owner: str, card_no: str, *, at: datetime) -> Tied | HolderRefused:
    """Make a registered card the holder's; one that is already changes nothing."""
    if not is_holder(conn, owner):
        return _unknown(owner)
    present = holder_of(conn, card_no)
    if present == owner:
        return Tied(owner, card_no, first_time=False)
    if is_locked(conn, owner):
        return _refused(HolderRefusal.HOLDER_LOCKED, f"{owner} has reported a loss; lift it first")
    status = conn.scalars(select(card.c.status).where(card.c.card_no == card_no)).one_or_none()
    if status is None:
        return _refused(HolderRefusal.CARD_UNKNOWN, f"card {card_no} is not registered; register it first")
    if present is not None:
        return _refused(
            HolderRefusal.CARD_TIED_ELSEWHERE, f"card {card_no} is another holder's; untie it there first"
        )
    if status != ACTIVE:
        return _refused(HolderRefusal.CARD_NOT_ACTIVE, f"card {card_no} is {status}; tie an active one")
    conn.execute(insert(held_card).values(holder=owner, card_no=card_no, tied_at=at))
    return Tied(owner, card_no, first_time=True)


def untie_card(conn: Connection, card_no: str, *, at: datetime) -> bool:
    """Make a card nobody's; whether it was somebody's."""
    columns = held_card.c
    untie = update(held_card).where(columns.card_no == card_no, columns.untied_at.is_(None))
    return conn.execute(untie.values(untied_at=at)).rowcount == 1


def cards_of(conn: Connection, owner: str) -> list[HeldCard]:
    """The cards tied to a holder, by card number."""
    query = (
        select(card.c.card_no, held_card.c.tied_at, card.c.status, card.c.holder_class)
        .join(card, card.c.card_no == held_card.c.card_no)
        .where(held_card.c.holder == owner, held_card.c.untied_at.is_(None))
        .order_by(card.c.card_no)
    )
    return [HeldCard(*row) for row in conn.execute(query)]


def holder_of(conn: Connection, card_no: str) -> str | None:
    """The holder that a card is tied to, or None."""
    columns = held_card.c
    query = select(columns.holder).where(columns.card_no == card_no, columns.untied_at.is_(None))
    return conn.scalars(query).one_or_none()


def forget(conn: Connection, owner: str, *, at: datetime) -> Forgotten | HolderRefused:
    """Erase what is personal: identity, name, telephone, linked numbers; cards are untied, consents end.

    The accounts stay with their money under the id, and so do the logs, which hold nothing personal. The
    same person enrolled again is another holder, so whoever calls this sees first that the pockets are empty.
    """
    columns = holder.c
    row = conn.execute(select(columns.forgotten_at).where(columns.id == owner)).one_or_none()
    if row is None:
        return _unknown(owner)
    if row.forgotten_at is not None:
        return Forgotten(owner, first_time=False)
    conn.execute(
        update(holder)
        .where(columns.id == owner)
        .values(
            identity_index=None, identity_sealed=None, name_sealed=None, phone_sealed=None, forgotten_at=at
        )
    )
    conn.execute(delete(link_number).where(link_number.c.holder == owner))
    for table, ended in ((held_card, held_card.c.untied_at), (link_grant, link_grant.c.revoked_at)):
        conn.execute(update(table).where(table.c.holder == owner, ended.is_(None)).values({ended: at}))
    return Forgotten(owner, first_time=True)


def _known(conn: Connection, vault: Vault, indexes: list[str]) -> dict[str, tuple[str, Person]]:
    columns = holder.c
    query = select(
        columns.identity_index,
        columns.id,
        columns.identity_sealed,
        columns.name_sealed,
        columns.phone_sealed,
    )
    rows = conn.execute(query.where(one_of(conn, columns.identity_index, indexes)))
    return {index: (owner, open_person(vault, owner, sealed)) for index, owner, *sealed in rows}


def _identity_index(vault: Vault, identity_no: str) -> str:
    return vault.index("identity", identity_no).hex()


def _holder_id(vault: Vault, number: int) -> str:
    """An id that tells neither how many holders there are nor who came first, and never comes twice.

    A Feistel network over two halves of five digits, its rounds keyed by the index: a permutation of the
    running number.
    """
    left, right = divmod(number, _HALF)
    for turn in range(_TURNS):
        mixed = int.from_bytes(vault.index("holder number", f"{turn} {right}")[:8], "big")
        left, right = right, (left + mixed) % _HALF
    return f"H{left:05d}{right:05d}"


def _flaw(person: Person, at: datetime) -> HolderRefused | None:
    flaw = person_flaw(person, at.astimezone(_CITY_ZONE).date())
    return None if flaw is None else _refused(HolderRefusal(f"{flaw.field}_malformed"), flaw.message)


def _differing(owner: str, ours: Person, theirs: Person) -> HolderRefused | None:
    fields = differing_fields(ours, theirs)
    if not fields:
        return None
    message = (
        f"{' and '.join(fields)} of {owner} are recorded otherwise; see the document, then amend the record"
    )
    return _refused(HolderRefusal.PERSON_DIFFERS, message)


def _unknown(owner: str) -> HolderRefused:
    return _refused(HolderRefusal.HOLDER_UNKNOWN, f"there is no holder {owner}; enrol the person first")


def _refused(reason: HolderRefusal, message: str) -> HolderRefused:
    return HolderRefused(reason, message)
