"""The agency's files: CSV with a control record, read as a whole so that every flaw is named at once."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from card.identity import DIGITS, mask_identity

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_LINES: Final = 200_000
CONTROL_LINE: Final = 1
VERSION: Final = "1"
SHOWN_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong in one place of a file; line 0 is the file as a whole. `value` is fit to be shown."""

    line: int
    field: str
    value: str
    remedy: str

    @property
    def message(self) -> str:
        """The flaw in one sentence."""
        place = f"line {self.line}, {self.field}" if self.line else self.field
        return f"{place}: {self.value!r} is not possible; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Flawed:
    """A file of which nothing was taken, with all that is wrong in it in the order of its lines."""

    flaws: tuple[Flaw, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A column: what its text must look like. The text of a `personal` one is masked wherever it is shown."""

    name: str
    pattern: re.Pattern[str]
    remedy: str
    personal: bool = False

    def flaw(self, line: int, text: str) -> Flaw | None:
        """Why `text` cannot stand in this column, or None."""
        if self.pattern.fullmatch(text):
            return None
        return Flaw(line, self.name, masked(text) if self.personal else shown(text), self.remedy)


@dataclass(frozen=True, slots=True)
class SheetForm:
    """A kind of file: its name, the fields of its control record, its columns, and the one that is unique."""

    kind: str
    control: tuple[Field, ...]
    columns: tuple[Field, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file as read: control fields and rows by column name, each row with its line in the file."""

    control: Mapping[str, str]
    rows: tuple[tuple[int, Mapping[str, str]], ...]


def read_sheet(data: bytes, form: SheetForm) -> tuple[Sheet, list[Flaw]]:
    """Read a file of `form`; the flaws are those of single fields, of counts and of repeated keys.

    Where a flaw is found the sheet holds what could be read of it, so that its caller can look for more.
    """
    records, flaws = _records(data)
    control: dict[str, str] = {}
    rows: list[tuple[int, Mapping[str, str]]] = []
    if not records:
        return Sheet(control, ()), flaws or [Flaw(0, "file", "empty", f"send a {form.kind} file")]
    number, first = records[0]
    if first[:2] != [form.kind, VERSION]:
        remedy = f"begin the file with {form.kind},{VERSION}"
        return Sheet(control, ()), [*flaws, Flaw(number, "kind", shown(",".join(first[:2])), remedy)]
    control, found = _fields(form.control, number, first[2:])
    flaws += found
    names = [field.name for field in form.columns]
    if len(records) < 2 or records[1][1] != names:
        value = shown(",".join(records[1][1])) if len(records) > 1 else "missing"
        flaws.append(Flaw(CONTROL_LINE + 1, "columns", value, f"name the columns {','.join(names)}"))
        return Sheet(control, ()), flaws
    seen: dict[str, int] = {}
    for number, record in records[2:]:
        row, found = _fields(form.columns, number, record)
        flaws += found
        if not row:
            continue
        rows.append((number, row))
        earlier = seen.setdefault(row[form.key], number)
        if earlier != number:
            remedy = f"line {earlier} has it already; give each line its own"
            flaws.append(Flaw(number, form.key, shown(row[form.key]), remedy))
    return Sheet(control, tuple(rows)), flaws + _miscounted(control, len(records) - 2)


def write_sheet(form: SheetForm, control: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """The bytes of a file of `form`: UTF-8, CR LF, the control record counted by its caller."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([form.kind, VERSION, *control])
    writer.writerow([field.name for field in form.columns])
    writer.writerows(rows)
    return out.getvalue().encode()


def masked(text: str) -> str:
    """An identity number as it may be shown; of a text that is none, no more than how long it is."""
    return mask_identity(text) if len(text) == DIGITS else "*" * min(len(text), DIGITS)


def shown(text: str) -> str:
    """A field's text, cut and without control characters, so that it can stand in a message."""
    printable = "".join(sign if sign.isprintable() else "�" for sign in text[: SHOWN_CHARACTERS + 1])
    return printable if len(printable) <= SHOWN_CHARACTERS else printable[:SHOWN_CHARACTERS] + "…"


def _records(data: bytes) -> tuple[list[tuple[int, list[str]]], list[Flaw]]:
    """The file's records, each with the line that it ends on."""
    if len(data) > MAX_BYTES:
        return [], [Flaw(0, "file", f"{len(data)} bytes", f"send at most {MAX_BYTES} bytes a file")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {data[error.start]:#04x} at offset {error.start}"
        return [], [Flaw(0, "file", place, "save the file as UTF-8")]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    try:
        for record in reader:
            if record:
                records.append((reader.line_num, record))
    except csv.Error as error:
        flaw = Flaw(reader.line_num, "record", str(error), "write plain CSV, with quotes doubled in quotes")
        return records, [flaw]
    if len(records) > MAX_LINES + 2:
        return [], [Flaw(0, "file", f"{len(records) - 2} lines", f"send at most {MAX_LINES} lines a file")]
    return records, []


def _fields(fields: Sequence[Field], line: int, texts: Sequence[str]) -> tuple[dict[str, str], list[Flaw]]:
    """The texts by field name, empty where their number is wrong, and the flaws of each."""
    if len(texts) != len(fields):
        remedy = f"give {len(fields)}: {', '.join(field.name for field in fields)}"
        return {}, [Flaw(line, "fields", str(len(texts)), remedy)]
    pairs = list(zip(fields, texts, strict=True))
    flaws = [flaw for field, text in pairs if (flaw := field.flaw(line, text)) is not None]
    return {field.name: text for field, text in pairs}, flaws


def _miscounted(control: Mapping[str, str], lines: int) -> list[Flaw]:
    counted = control.get("lines", "")
    if not counted.isdecimal() or int(counted) == lines:
        return []
    remedy = f"the file has {lines}; send it whole"
    return [Flaw(CONTROL_LINE, "lines", counted, remedy)]
