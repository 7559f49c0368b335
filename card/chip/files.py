"""Files of the transit application: public data (15), region (17), and the FCI that SELECT answers with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

TRANSIT_AID = bytes.fromhex("A000000632010105")
CITY_UNION_AID = bytes.fromhex("A00000000386980701")
PPSE = b"2PAY.SYS.DDF01"
MASTER_FILE = bytes.fromhex("3F00")
APPLICATION_VERSION = 2
PUBLIC_SFI, PUBLIC_BYTES = 0x15, 30
REGION_SFI, REGION_BYTES = 0x17, 11
HIGHEST_HOLDER_CLASS = 255
"""Classes are numbered from 1: 1 standard, 2 half and 3 free; what further ones are, the city's tariff says."""


class FileError(ValueError):
    """A file that does not hold what its layout says: which field, its value, and the remedy."""

    def __init__(self, field: str, value: str, remedy: str) -> None:
        super().__init__(f"{field} is {value}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class PublicData:
    """Who the card is (file 15): issuer (8 hex characters), card number (20 digits), holder class, validity.

    The holder class (1 standard, 2 half, 3 free, more by the tariff; 0 on foreign cards) is this city's use of byte 28.
    """

    issuer: str
    card_no: str
    holder_class: int
    starts: date
    expires: date
    kind: int = 2
    version: int = 1
    issuer_rest: str = "FFFFFFFF"
    custom: int = 0

    def pack(self) -> bytes:
        """Write the file, 30 bytes (JT/T 978). Raises FileError where a field does not fit."""
        if len(self.card_no) != 20 or not self.card_no.isascii() or not self.card_no.isdigit():
            raise FileError("card_no", self.card_no, "give 20 digits")
        return b"".join(
            (
                _from_hex("issuer", self.issuer, 4),
                _from_hex("issuer_rest", self.issuer_rest, 4),
                _byte("kind", self.kind),
                _byte("version", self.version),
                bytes.fromhex(self.card_no),
                pack_date(self.starts),
                pack_date(self.expires),
                _byte("holder_class", self.holder_class),
                _byte("custom", self.custom),
            )
        )

    @classmethod
    def unpack(cls, raw: bytes) -> "PublicData":
        """Read the file. Raises FileError for a wrong length, a card number or a date that is none."""
        if len(raw) != PUBLIC_BYTES:
            raise FileError("file 15", f"{len(raw)} bytes", f"read all {PUBLIC_BYTES}")
        card_no = raw[10:20].hex()
        if not card_no.isdigit():
            raise FileError("card_no", card_no, "the card is not of this layout, do not take it")
        return cls(
            issuer=raw[0:4].hex().upper(),
            card_no=card_no,
            holder_class=raw[28],
            starts=unpack_date("starts", raw[20:24]),
            expires=unpack_date("expires", raw[24:28]),
            kind=raw[8],
            version=raw[9],
            issuer_rest=raw[4:8].hex().upper(),
            custom=raw[29],
        )


@dataclass(frozen=True, slots=True)
class Region:
    """Where the card belongs (file 17): country, province and city in 4 hex characters each, and its type."""

    country: str = "0156"
    province: str = "5800"
    city: str = "5840"
    card_type: int = 1
    head: str = "0000"
    rest: str = "0000"

    def pack(self) -> bytes:
        """Write the file, 11 bytes (JT/T 978). Raises FileError where a field does not fit."""
        names = ("head", "country", "province", "city", "rest")
        codes = b"".join(_from_hex(name, getattr(self, name), 2) for name in names)
        return codes + _byte("card_type", self.card_type)

    @classmethod
    def unpack(cls, raw: bytes) -> "Region":
        """Read the file. Raises FileError for a wrong length."""
        if len(raw) != REGION_BYTES:
            raise FileError("file 17", f"{len(raw)} bytes", f"read all {REGION_BYTES}")
        head, country, province, city, rest = (raw[at : at + 2].hex().upper() for at in range(0, 10, 2))
        return cls(country, province, city, raw[10], head, rest)


@dataclass(frozen=True, slots=True)
class Fci:
    """What SELECT answers: the application's name, its version if told, and a copy of file 15."""

    aid: bytes
    public: bytes
    version: int | None = None

    def pack(self) -> bytes:
        """Write the template `6F {84 AID, A5 {9F08 version, 9F0C file 15}}`."""
        version = b"" if self.version is None else _tlv("9F08", bytes((self.version,)))
        return _tlv("6F", _tlv("84", self.aid) + _tlv("A5", version + _tlv("9F0C", self.public)))

    @classmethod
    def unpack(cls, raw: bytes) -> "Fci":
        """Read the template. Raises FileError where it is broken or lacks the name or file 15."""
        outer = dict(_tlvs(dict(_tlvs(raw)).get("6F", b"")))
        inner = dict(_tlvs(outer.get("A5", b"")))
        if "84" not in outer or "9F0C" not in inner:
            raise FileError("FCI", raw.hex() or "empty", "the card is not of this layout, do not take it")
        version = inner.get("9F08")
        return cls(outer["84"], inner["9F0C"], None if version is None else int.from_bytes(version, "big"))


def directory_fci() -> bytes:
    """What the directory of contactless applications (PPSE) answers: it lists the transit application."""
    entry = _tlv("61", _tlv("4F", TRANSIT_AID) + _tlv("50", b"MOT_T_EP") + _tlv("87", b"\x01"))
    return _tlv("6F", _tlv("84", PPSE) + _tlv("A5", _tlv("BF0C", entry)))


def pack_date(day: date) -> bytes:
    """Write a date as 4 bytes BCD `YYYYMMDD`."""
    return bytes.fromhex(f"{day:%Y%m%d}".zfill(8))


def unpack_date(field: str, raw: bytes) -> date:
    """Read 4 bytes BCD. Raises FileError, naming `field`, where they are no date."""
    digits = raw.hex()
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        raise FileError(field, digits, "it must be a date YYYYMMDD") from None


def _tlv(tag: str, value: bytes) -> bytes:
    return bytes.fromhex(tag) + bytes((len(value),)) + value


def _tlvs(raw: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(raw):
        # A tag whose low five bits are all set goes on in the next byte (ISO 8825-1), here in just one.
        start = at + (2 if raw[at] & 0x1F == 0x1F else 1)
        if start >= len(raw) or raw[start] > 0x7F or start + 1 + raw[start] > len(raw):
            raise FileError("FCI", raw.hex(), f"the object at byte {at} is broken, present the card again")
        end = start + 1 + raw[start]
        yield raw[at:start].hex().upper(), raw[start + 1 : end]
        at = end


def _from_hex(field: str, value: str, width: int) -> bytes:
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        raise FileError(field, value, f"give {2 * width} hex characters") from None
    if len(raw) != width:
        raise FileError(field, value, f"give {2 * width} hex characters")
    return raw


def _byte(field: str, value: int) -> bytes:
    if not 0 <= value <= 0xFF:
        raise FileError(field, str(value), "give 0 to 255")
    return bytes((value,))
