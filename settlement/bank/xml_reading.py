"""The bank's XML, read with suspicion: bounded in size, parts and depth, without a DTD, every field named when refused.

Nothing outside the file is ever fetched. Whatever the bytes are, what cannot be read becomes a refusal with the field,
its value and what to do; inside this room it travels as `Unfit`, at its edge it is a value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from lxml import etree

from clearing.wire.bcd import CITY_ZONE
from ledger.entry import MAX_AMOUNT_FEN

MOST_BYTES: Final = 16 << 20
MOST_PARTS: Final = 1_000_000
"""Tags, opening and closing ones: some 10,000 lines of a statement that says much of each."""
DEEPEST: Final = 40
CURRENCY: Final = "CNY"

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:(?P<message>[a-z]{4}\.[0-9]{3})\.001\.[0-9]{2}")
_AMOUNT = re.compile(r"([0-9]{1,16})(?:\.([0-9]+))?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHOWN: Final = 60


class FileFlaw(StrEnum):
    """Why a file of the bank's cannot be taken, in order of precedence: the first that applies is told."""

    TOO_LONG = "too_long"
    TOO_MANY_PARTS = "too_many_parts"
    HAS_DTD = "has_dtd"
    NOT_XML = "not_xml"
    TOO_DEEP = "too_deep"
    MESSAGE_UNKNOWN = "message_unknown"
    FIELD_MISSING = "field_missing"
    FIELD_REPEATED = "field_repeated"
    FIELD_UNFIT = "field_unfit"
    CURRENCY_OTHER = "currency_other"
    SUM_DIFFERS = "sum_differs"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be taken: which field, what stands there, and what to do."""

    flaw: FileFlaw
    field: str
    value: str
    remedy: str

    @property
    def message(self) -> str:
        """The flaw in a sentence."""
        return f"{self.field} {self.value}"


class Unfit(Exception):
    """A file cannot be read on; caught where the reading began."""

    def __init__(self, flaw: FileFlaw, field: str, value: str, remedy: str) -> None:
        super().__init__(f"{field} {value}; {remedy}")
        self.found = Unreadable(flaw, field, value, remedy)


@dataclass(frozen=True, slots=True)
class Part:
    """An element of the message, and where it stands: its names from the root on, its line in the file."""

    node: etree._Element
    path: str

    def each(self, name: str) -> Iterator["Part"]:
        """The elements of a name right below; those of other namespaces are none of the message's."""
        tag = f"{{{etree.QName(self.node).namespace}}}{name}"
        for child in self.node.iterchildren(tag):
            yield Part(child, f"{self.path}/{name}")

    def maybe(self, path: str) -> "Part | None":
        """The one element at a path of names, or None. Raises Unfit where a name is there twice."""
        part = self
        for name in path.split("/"):
            found = list(part.each(name))
            if not found:
                return None
            if len(found) > 1:
                raise found[1].unfit(FileFlaw.FIELD_REPEATED, "is there twice", "have the bank say it once")
            (part,) = found
        return part

    def one(self, path: str) -> "Part":
        """The one element at a path of names. Raises Unfit where there is none."""
        found = self.maybe(path)
        if found is None:
            raise Unfit(
                FileFlaw.FIELD_MISSING,
                f"{self.path}/{path} (line {self.line})",
                "is missing",
                "have the bank send it",
            )
        return found

    @property
    def line(self) -> int:
        """The line of the file."""
        found: int | None = getattr(self.node, "sourceline", None)  # the stubs do not know its type
        return found or 0

    @property
    def value(self) -> str:
        """The text of the element, without blanks around it."""
        return (self.node.text or "").strip()

    def unfit(self, flaw: FileFlaw, what: str, remedy: str) -> Unfit:
        """The refusal of this element."""
        return Unfit(flaw, f"{self.path} (line {self.line})", what, remedy)

    def text(self, path: str, most: int) -> str:
        """A text of 1 to `most` printable characters. Raises Unfit."""
        part = self.one(path)
        found = part.value
        if not 1 <= len(found) <= most or not found.isprintable():
            remedy = f"have the bank give 1 to {most} printable characters"
            raise part.unfit(FileFlaw.FIELD_UNFIT, shown(found), remedy)
        return found

    def maybe_text(self, path: str, most: int) -> str:
        """The same, or nothing where it is not there."""
        return "" if self.maybe(path) is None else self.text(path, most)

    def words(self, path: str, most: int) -> str:
        """What stands there for people to read, cut to `most` characters; nothing where it is not there."""
        part = self.maybe(path)
        return "" if part is None else plain(part.value, most)

    def amount_fen(self, path: str) -> int:
        """An amount in yuan with at most two decimals, exactly. Raises Unfit, also for any other currency."""
        part = self.one(path)
        currency = part.node.get("Ccy")
        if currency != CURRENCY:
            remedy = f"the account is kept in {CURRENCY}: have the bank send its statement"
            field = f"{part.path}/@Ccy (line {part.line})"
            raise Unfit(FileFlaw.CURRENCY_OTHER, field, shown(currency or ""), remedy)
        matched = _AMOUNT.fullmatch(part.value)
        fen = -1
        if matched is not None and len(matched[2] or "") <= 2:
            fen = int(matched[1]) * 100 + int((matched[2] or "").ljust(2, "0"))
        if not 0 <= fen <= MAX_AMOUNT_FEN:
            remedy = "have the bank give yuan with at most two decimals, such as 1234.56"
            raise part.unfit(FileFlaw.FIELD_UNFIT, shown(part.value), remedy)
        return fen

    def day(self, path: str) -> date:
        """A date, or the date in the city of an instant: below `path` as `Dt` or `DtTm`. Raises Unfit."""
        found = self.one(path)
        part = found.maybe("Dt") or found.one("DtTm")
        day = _day_of(part.value)
        if day is None:
            remedy = "have the bank give a date such as 2026-03-02"
            raise part.unfit(FileFlaw.FIELD_UNFIT, shown(part.value), remedy)
        return day


def read_message(data: bytes) -> tuple[str, Part]:
    """The message's name, such as `pain.002`, and its root. Raises Unfit."""
    if len(data) > MOST_BYTES:
        raise Unfit(
            FileFlaw.TOO_LONG,
            "the file",
            f"has {len(data)} bytes",
            f"have it sent in parts of {MOST_BYTES} at most",
        )
    if data.count(b"<") > MOST_PARTS:
        raise Unfit(
            FileFlaw.TOO_MANY_PARTS,
            "the file",
            f"has more than {MOST_PARTS} tags",
            "have it sent in several files",
        )
    if b"<!DOCTYPE" in data:
        raise _has_dtd()
    try:
        root = etree.fromstring(data, safe_parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        said = plain(str(error), 200) or "nothing"
        raise Unfit(
            FileFlaw.NOT_XML, "the file", f"is no XML: {said}", "have the bank send it again"
        ) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise _has_dtd()  # in an encoding in which the bytes above look otherwise
    if _deeper_than(root, DEEPEST):
        remedy = "have the bank send it as ISO 20022 has it"
        raise Unfit(FileFlaw.TOO_DEEP, "the file", f"goes deeper than {DEEPEST} elements", remedy)
    name = etree.QName(root)
    matched = _NAMESPACE.fullmatch(name.namespace or "")
    if name.localname != "Document" or matched is None:
        where = shown(f"{{{name.namespace or ''}}}{name.localname}")
        remedy = (
            'have the bank send <Document xmlns="urn:iso:std:iso:20022:tech:xsd:…"> of pain.002 or camt.053'
        )
        raise Unfit(FileFlaw.MESSAGE_UNKNOWN, "the root element", where, remedy)
    return matched["message"], Part(root, "Document")


def safe_parser() -> etree.XMLParser:
    """A parser that fetches nothing, expands nothing and keeps libxml2's own bounds."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def plain(text: str, most: int) -> str:
    """A text on one line, what cannot be printed left out, cut to `most` characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:most]


def shown(value: str) -> str:
    """A value as it is quoted in a refusal."""
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


def one_of_words(part: Part, path: str, words: Mapping[str, object]) -> str:
    """A code that is one of these. Raises Unfit, naming them all."""
    found = part.text(path, 35)
    if found not in words:
        remedy = f"have the bank give one of {', '.join(words)}"
        raise part.one(path).unfit(FileFlaw.FIELD_UNFIT, shown(found), remedy)
    return found


def _has_dtd() -> Unfit:
    return Unfit(
        FileFlaw.HAS_DTD, "the file", "declares a document type", "no message has one: find out who sent it"
    )


def _deeper_than(root: etree._Element, most: int) -> bool:
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > most:
            return True
    return False


def _day_of(text: str) -> date | None:
    """The date of `YYYY-MM-DD`, or of an instant in the city's zone; None for any other text."""
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
        else:
            instant = datetime.fromisoformat(text)
            day = (instant if instant.tzinfo is None else instant.astimezone(CITY_ZONE)).date()
    except (ValueError, OverflowError):
        return None
    return day if 2000 <= day.year < 2200 else None
