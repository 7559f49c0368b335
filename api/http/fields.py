"""The fields that requests and answers are made of: money in fen, ids, texts, pages."""

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MOST_FEN = 10**12
"""More than any amount that passes this door: ten billion yuan."""


class Body(BaseModel):
    """A request's body: a member that is not known is refused, not overlooked."""

    model_config = ConfigDict(extra="forbid")


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


HolderId = Annotated[str, StringConstraints(pattern=r"^H[0-9]{10}$")]
CardNo = Annotated[str, StringConstraints(pattern=r"^[0-9]{20}$")]
ParticipantId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,15}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$")]
"""An institution's own number for what it asks; it is unique within the institution."""
Text = Annotated[str, StringConstraints(max_length=140, pattern="^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
When = Annotated[datetime, AfterValidator(_utc)]
Currency = Literal["CNY"]


class Money(BaseModel):
    """An amount as answers give it."""

    amount_fen: int
    currency: Currency = "CNY"


class Paid(Body):
    """An amount as requests give it: above zero."""

    amount_fen: int = Field(strict=True, ge=1, le=MOST_FEN)
    currency: Currency = "CNY"


Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Some of a list, newest first; `next_cursor` asks for the rest, null where this is the end."""

    items: list[Item]
    next_cursor: str | None = None
