"""Files exchanged with centres, beside what these present: numbered, registered, and kept by their digests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, func, insert, select

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from clearing.archive import keep
from clearing.context import Night, StepRefused
from clearing.interop.tables import centre_file
from clearing.wire.bcd import moment_of, pack_moment
from clearing.wire.frame import BatchFrame, BatchHeader
from clearing.wire.interop import ANSWER, PRESENTED, RESULT

KEY_VERSION: Final = 1
"""The version of the key that our files to centres are sealed under."""


class Kind(StrEnum):
    """What a file is: taps that we hand over, results on them, our answers to what a centre presented."""

    PRESENTED = "presented"
    RESULT = "result"
    ANSWER = "answer"


FRAMES: Final[Mapping[Kind, BatchFrame]] = MappingProxyType(
    {Kind.PRESENTED: PRESENTED, Kind.RESULT: RESULT, Kind.ANSWER: ANSWER}
)


@dataclass(frozen=True, slots=True)
class Made:
    """A file of ours, kept in the archive under its digest."""

    kind: Kind
    header: BatchHeader
    digest: str
    content: bytes

    @property
    def name(self) -> str:
        """The name that it travels under."""
        return FRAMES[self.kind].name(self.header.operator, self.header.sequence)


def next_number(conn: Connection, centre: str, kind: Kind) -> int:
    """The number of the next file of a kind; they have no gaps."""
    columns = centre_file.c
    query = select(func.max(columns.number)).where(columns.centre == centre, columns.kind == kind.value)
    return int(conn.execute(query).scalar() or 0) + 1


def make_file(night: Night, kind: Kind, centre: str, number: int, body: bytes) -> Made:
    """Make and keep a file of records for a centre, dated by the night and sealed by the HSM.

    Raises StepRefused where the HSM cannot be asked.
    """
    frame, made_at = FRAMES[kind], pack_moment(night.at)
    header = frame.header_for(centre, number, night.business_date, made_at, KEY_VERSION, body)
    try:
        content = frame.seal(header, body, lambda digest: _mac(night.hsm, centre, digest))
    except HsmError as error:
        reason = f"the file for {centre} cannot be sealed: {error}"
        raise StepRefused("route", reason, "restore the HSM, run again") from error
    return Made(kind, header, keep(night.archive, content), content)


def register_file(
    conn: Connection, kind: Kind, header: BatchHeader, digest: str, business_date: date
) -> None:
    """Write down a file that was made, or taken."""
    conn.execute(
        insert(centre_file).values(
            centre=header.operator,
            kind=kind.value,
            number=header.sequence,
            digest=digest,
            business_date=header.business_date,
            made_at=moment_of(header.made_at).astimezone(UTC),
            record_count=header.count,
            amount_fen=header.amount_fen,
            registered_on=business_date,
            attempts=0,
            last_word="",
        )
    )


def digests_of(conn: Connection, kind: Kind) -> dict[tuple[str, int], str]:
    """The digests of all files of a kind, by centre and number."""
    columns = centre_file.c
    query = select(columns.centre, columns.number, columns.digest).where(columns.kind == kind.value)
    return {(centre, number): digest for centre, number, digest in conn.execute(query)}


def _mac(hsm: Hsm, centre: str, digest: bytes) -> bytes:
    return hsm.batch_mac(centre, digest, KEY_VERSION)
