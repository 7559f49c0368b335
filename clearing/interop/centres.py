"""The register of other cities' clearing centres: who they are, and for which cards' issuers each one answers, when.

Periods last from an instant until before another. Nothing registered is taken out again: a period is ended.
"""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, insert, or_, select, update

from card.tables import card
from clearing.interop.tables import centre, centre_issuer
from clearing.tables import device

MAX_AMOUNT_FEN: Final = 100_000
"""What a card may hold (terminals/counter.py says why), and so the most that one tap can cost where a centre's
agreement says nothing less."""

_CODE: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,6}[A-Z0-9])?")
_ISSUER: Final = re.compile(r"[0-9A-F]{8}")


@dataclass(frozen=True, slots=True)
class Centre:
    """A clearing centre; its code is also that of the participant that is paid.

    `max_amount_fen` is what one tap of our cards there may cost at most.
    """

    code: str
    name: str
    valid_from: datetime
    valid_until: datetime | None = None
    max_amount_fen: int = MAX_AMOUNT_FEN


@dataclass(frozen=True, slots=True)
class Answers:
    """A centre answers for the cards of an issuer, 8 hex digits as on the card."""

    centre: str
    issuer: str
    valid_from: datetime
    valid_until: datetime | None = None


class CentreRefusal(StrEnum):
    """Why the register does not take something, in order of precedence: the first that applies is told."""

    CODE_MALFORMED = "code_malformed"
    ISSUER_MALFORMED = "issuer_malformed"
    LIMIT_IMPOSSIBLE = "limit_impossible"
    PERIOD_EMPTY = "period_empty"
    CENTRE_UNKNOWN = "centre_unknown"
    CENTRE_DIFFERS = "centre_differs"
    CODE_OF_OPERATOR = "code_of_operator"
    ISSUER_OURS = "issuer_ours"
    ISSUER_TAKEN = "issuer_taken"
    NOT_IN_FORCE = "not_in_force"


@dataclass(frozen=True, slots=True)
class CentreRefused:
    """Nothing was registered, and why, with the remedy."""

    refusal: CentreRefusal
    message: str


def register_centre(conn: Connection, given: Centre, *, at: datetime) -> CentreRefused | bool:
    """Register a centre; whether it is new. The same again changes nothing."""
    refused = _flaw_of_centre(conn, given)
    if refused is not None:
        return refused
    held = centres_of(conn).get(given.code)
    if held is not None and held != given:
        message = f"centre {given.code} is registered otherwise: {held}; end it, or give the same"
        return CentreRefused(CentreRefusal.CENTRE_DIFFERS, message)
    if held is None:
        conn.execute(insert(centre).values(**asdict(given), registered_at=at))
    return held is None


def answer_for(conn: Connection, given: Answers) -> CentreRefused | bool:
    """Have a centre answer for an issuer's cards; whether that is new. The same again changes nothing."""
    refused = _flaw_of_answers(conn, given)
    if refused is not None:
        return refused
    held = answers_of(conn)
    if given in held:
        return False
    rival = next((one for one in held if one.issuer == given.issuer and _overlap(one, given)), None)
    if rival is not None:
        message = (
            f"issuer {given.issuer} has an answer by {rival.centre} from {rival.valid_from}; "
            "end that before the new one begins"
        )
        return CentreRefused(CentreRefusal.ISSUER_TAKEN, message)
    conn.execute(insert(centre_issuer).values(**asdict(given)))
    return True


def end_centre(conn: Connection, code: str, *, at: datetime) -> CentreRefused | int:
    """End a centre and all its answers in force at `at`; how many answers were ended.

    What was handed to it before is still answered by it.
    """
    held = centres_of(conn).get(code)
    if held is None:
        return _unknown(code)
    if held.valid_until is not None or held.valid_from >= at:
        message = (
            f"centre {code} is not in force at {at}; it is from {held.valid_from} until {held.valid_until}"
        )
        return CentreRefused(CentreRefusal.NOT_IN_FORCE, message)
    conn.execute(update(centre).where(centre.c.code == code).values(valid_until=at))
    columns = centre_issuer.c
    ended = conn.execute(
        update(centre_issuer)
        .where(columns.centre == code, columns.valid_from < at)
        .where(or_(columns.valid_until.is_(None), columns.valid_until > at))
        .values(valid_until=at)
    )
    return ended.rowcount


def end_answers(conn: Connection, code: str, issuer: str, *, at: datetime) -> CentreRefused | None:
    """Have a centre no longer answer for an issuer's cards from `at` on."""
    columns = centre_issuer.c
    ended = conn.execute(
        update(centre_issuer)
        .where(columns.centre == code, columns.issuer == issuer, columns.valid_from < at)
        .where(or_(columns.valid_until.is_(None), columns.valid_until > at))
        .values(valid_until=at)
    )
    if ended.rowcount:
        return None
    message = (
        f"centre {code} does not answer for issuer {issuer} at {at}; `onecard centres list` shows who does"
    )
    return CentreRefused(CentreRefusal.NOT_IN_FORCE, message)


def centres_of(conn: Connection) -> dict[str, Centre]:
    """Every centre ever registered, by code and in its order."""
    columns = [column for column in centre.c if column.name != "registered_at"]
    return {row.code: Centre(*row) for row in conn.execute(select(*columns).order_by(centre.c.code))}


def answers_of(conn: Connection) -> list[Answers]:
    """Which centre answers, or answered, for which issuer's cards, by issuer and time."""
    columns = centre_issuer.c
    query = select(columns.centre, columns.issuer, columns.valid_from, columns.valid_until)
    return [Answers(*row) for row in conn.execute(query.order_by(columns.issuer, columns.valid_from))]


def centre_codes(conn: Connection) -> list[str]:
    """The codes of all centres, in order."""
    return list(conn.scalars(select(centre.c.code).order_by(centre.c.code)))


def _flaw_of_centre(conn: Connection, given: Centre) -> CentreRefused | None:
    if not _CODE.fullmatch(given.code):
        message = f"code {given.code!r} is not possible; give 1 to 8 of A-Z, 0-9 and inner hyphens"
        return CentreRefused(CentreRefusal.CODE_MALFORMED, message)
    if not 0 < given.max_amount_fen <= MAX_AMOUNT_FEN:
        message = f"max_amount_fen {given.max_amount_fen} is not possible; give 1 to {MAX_AMOUNT_FEN} fen"
        return CentreRefused(CentreRefusal.LIMIT_IMPOSSIBLE, message)
    if (empty := _empty(given.valid_from, given.valid_until)) is not None:
        return empty
    if conn.execute(select(device.c.terminal).where(device.c.operator == given.code).limit(1)).first():
        message = f"code {given.code} is an operator's with devices of its own; give the centre another"
        return CentreRefused(CentreRefusal.CODE_OF_OPERATOR, message)
    return None


def _flaw_of_answers(conn: Connection, given: Answers) -> CentreRefused | None:
    if not _ISSUER.fullmatch(given.issuer):
        message = f"issuer {given.issuer!r} is not possible; give 8 hex digits, upper case, as on its cards"
        return CentreRefused(CentreRefusal.ISSUER_MALFORMED, message)
    if (empty := _empty(given.valid_from, given.valid_until)) is not None:
        return empty
    if given.centre not in centre_codes(conn):
        return _unknown(given.centre)
    if conn.execute(select(card.c.card_no).where(card.c.issuer == given.issuer).limit(1)).first():
        message = f"issuer {given.issuer} is ours: cards of it are in the register; give the other city's"
        return CentreRefused(CentreRefusal.ISSUER_OURS, message)
    return None


def _empty(valid_from: datetime, valid_until: datetime | None) -> CentreRefused | None:
    if valid_until is None or valid_from < valid_until:
        return None
    message = f"valid_until {valid_until} is not after {valid_from}; give a later end, or none"
    return CentreRefused(CentreRefusal.PERIOD_EMPTY, message)


def _unknown(code: str) -> CentreRefused:
    return CentreRefused(
        CentreRefusal.CENTRE_UNKNOWN, f"centre {code!r} is not registered; `onecard centres add` registers it"
    )


def _overlap(one: Answers, other: Answers) -> bool:
    first, then = sorted((one, other), key=lambda answers: answers.valid_from)
    return first.valid_until is None or then.valid_from < first.valid_until
