"""Binary-coded decimal: a digit in every half byte, as cards and batch files write dates and numbers."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

CITY_ZONE = ZoneInfo("Asia/Shanghai")
MOMENT_BYTES = 7


def digits_of(packed: bytes) -> str:
    """Write packed digits as text; raises ValueError where a half byte is not a digit."""
    text = packed.hex()
    if not text.isdecimal():
        raise ValueError(f"{text.upper()} has a half byte that is not a digit")
    return text


def pack_digits(text: str, width: int) -> bytes:
    """Pack exactly `2 * width` digits into `width` bytes; raises ValueError on any other text."""
    if len(text) != 2 * width or not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not {2 * width} digits")
    return bytes.fromhex(text)


def pack_date(day: date) -> bytes:
    """Write a date as 4 bytes, YYYYMMDD."""
    return bytes.fromhex(f"{day.year:04d}{day.month:02d}{day.day:02d}")


def date_of(packed: bytes) -> date:
    """Read 4 bytes YYYYMMDD; raises ValueError where they are no day of the calendar."""
    text = digits_of(packed)
    if len(text) != 8:
        raise ValueError(f"a date has 4 bytes, not {len(packed)}")
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def pack_moment(at: datetime) -> bytes:
    """Write an aware instant as 7 bytes, YYYYMMDDHHMMSS, in the city's zone."""
    if at.tzinfo is None:
        raise ValueError(f"instant {at!r} has no time zone; give an aware datetime")
    local = at.astimezone(CITY_ZONE)
    return bytes.fromhex(f"{local.year:04d}{local:%m%d%H%M%S}")


def moment_of(packed: bytes) -> datetime:
    """Read 7 bytes YYYYMMDDHHMMSS as an aware instant in the city's zone; raises ValueError if none is so."""
    text = digits_of(packed)
    if len(text) != 2 * MOMENT_BYTES:
        raise ValueError(f"a moment has {MOMENT_BYTES} bytes, not {len(packed)}")
    month, day, hour, minute, second = (int(text[place : place + 2]) for place in range(4, 14, 2))
    return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=CITY_ZONE)
