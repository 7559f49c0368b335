"""Links for institutions: consents entered and withdrawn at a counter, and reads, each of them logged."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, StringConstraints
from sqlalchemy import Connection

from api.http.access import Caller, institution
from api.http.fields import Body, HolderId, ParticipantId, When
from api.http.problems import documented, problem, refused
from api.http.state import Deps, deps
from card.holders import is_holder
from card.links import (
    Grant,
    Link,
    LinkKind,
    LinkRead,
    LinkRefusal,
    LinkRefused,
    Purpose,
    grant,
    read_link,
    revoke,
)

router = APIRouter(prefix="/v1/holders/{holder}/links", tags=["links"])

LinkReader = Annotated[Caller, Depends(institution("links:read"))]
LinkWriter = Annotated[Caller, Depends(institution("links:write"))]
Doors = Annotated[Deps, Depends(deps)]
Number = Annotated[str, StringConstraints(max_length=64, pattern=r"^[0-9A-Za-z -]*$")]


class Consent(Body):
    """Whom the holder lets read a link, for what, until when.

    `number` is that of the health card or social-security record; of an identity it may be left empty.
    """

    number: Number = ""
    granted_to: ParticipantId
    purpose: Purpose
    expires_at: When


class Withdrawal(Body):
    """Whose consents end; without a purpose, all of them."""

    granted_to: ParticipantId
    purpose: Purpose | None = None


class Reading(Body):
    """What the caller reads the link for."""

    purpose: Purpose


class ConsentView(BaseModel):
    """A consent as it stands; it never shows the number."""

    kind: LinkKind
    granted_to: str
    purpose: Purpose
    granted_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class Withdrawn(BaseModel):
    """How many consents ended."""

    ended: int


class LinkShown(BaseModel):
    """As much of a link as the purpose needs: that it is there, its number masked, or its number."""

    holder: str
    kind: LinkKind
    purpose: Purpose
    disclosure: str
    number: str
    name: str


class ReadView(BaseModel):
    """One line of the log: who looked, for what, when, and what came of it."""

    kind: str
    reader: str
    purpose: str
    read_at: datetime
    outcome: str


@router.post(
    "/{kind}/consents", status_code=201, response_model=ConsentView, responses=documented(LinkRefusal)
)
def consent(holder: HolderId, kind: LinkKind, body: Consent, caller: LinkWriter, doors: Doors) -> ConsentView:
    """Enter a consent that the holder has given at the caller's counter; the caller reads for itself only."""
    if body.granted_to != caller.participant:
        raise problem(
            "not_granted", f"a counter takes consents for itself; give granted_to {caller.participant}"
        )
    return doors.writer.write(lambda conn: granted(conn, doors, holder, kind, body))


@router.post(
    "/{kind}/withdrawals", response_model=Withdrawn, responses=documented("holder_unknown", "not_granted")
)
def withdraw(
    holder: HolderId, kind: LinkKind, body: Withdrawal, caller: LinkWriter, doors: Doors
) -> Withdrawn:
    """End consents that were given to the caller."""
    if body.granted_to != caller.participant:
        raise problem("not_granted", f"a counter ends its own consents; give granted_to {caller.participant}")

    def work(conn: Connection) -> int:
        if not is_holder(conn, holder):
            raise problem("holder_unknown", f"there is no holder {holder}; look at the id again")
        return revoke(conn, holder, kind, body.granted_to, at=doors.now(), purpose=body.purpose)

    return Withdrawn(ended=doors.writer.write(work))


@router.post("/{kind}/reads", response_model=LinkShown, responses=documented(LinkRefusal))
def read(holder: HolderId, kind: LinkKind, body: Reading, caller: LinkReader, doors: Doors) -> LinkShown:
    """Read a link for a purpose that the holder has consented to. The read is logged, refused or not."""
    reader, purpose = caller.participant, body.purpose
    answer = doors.writer.write(
        lambda conn: read_link(
            conn, doors.vault, holder, kind, reader=reader, purpose=purpose, at=doors.now()
        )
    )
    # Outside the transaction: what is refused is logged as well.
    if isinstance(answer, LinkRefused):
        raise refused(answer)
    return LinkShown(
        holder=answer.holder,
        kind=answer.kind,
        purpose=answer.purpose,
        disclosure=answer.disclosure.value,
        number=answer.number,
        name=answer.name,
    )


def granted(conn: Connection, doors: Deps, holder: str, kind: LinkKind, body: Consent) -> ConsentView:
    """Record a holder's consent. Problems: the reasons of LinkRefusal."""
    link = Link(holder, kind, body.number, body.granted_to, body.purpose, body.expires_at)
    answer = grant(conn, doors.vault, link, at=doors.now())
    if isinstance(answer, LinkRefused):
        raise refused(answer)
    return consent_view(answer.grant)


def consent_view(one: Grant) -> ConsentView:
    """A consent as it stands."""
    return ConsentView(
        kind=one.kind,
        granted_to=one.granted_to,
        purpose=one.purpose,
        granted_at=one.granted_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
    )


def read_view(one: LinkRead) -> ReadView:
    """One line of the log."""
    return ReadView(
        kind=one.kind, reader=one.reader, purpose=one.purpose, read_at=one.read_at, outcome=one.outcome
    )
