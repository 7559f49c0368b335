"""A fare tariff as a file: read strictly, written, and described by a JSON schema."""

import json
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from clearing.sectors.transit.fare_tariff import FORMAT, FareTariff
from clearing.wire.strict import Strict
from clearing.wire.tariff import TariffError

_FILE = TypeAdapter(FareTariff)
_TEXT = Strict(TariffError, "docs/formats/tariff.md")
_TAGS = {"flat", "list", "matrix", "distance", "areas", "fixed", "highest", "one", "entry_exit"}
_TAGS |= {"share", "less", "bands", "steps", "together"}
_TAGGED = {"price", "pay", "missing_exit", "missing_entry"}
"""Members of several kinds, as the values of `modes` are; pydantic puts the kind after them in a path."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong in a tariff: `field` (its path) holds `value`; `remedy` what to do. A remark is no error."""

    field: str
    value: str
    remedy: str
    remark: bool = False

    def __str__(self) -> str:
        return f"{'remark: ' if self.remark else ''}{self.field} is {self.value}: {self.remedy}"


class TariffFlawed(Exception):
    """A file that is no fare tariff; `flaws` names all that is wrong with its members."""

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        super().__init__("; ".join(str(flaw) for flaw in flaws))
        self.flaws = flaws


def is_fare_file(text: str) -> bool:
    """Whether a text says that it is a fare tariff, and not the older tariff of `clearing.wire.tariff`."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return True
    return isinstance(whole, dict) and "format" in whole


def read_fares(text: str) -> FareTariff:
    """Read a fare tariff; raises TariffFlawed with every member that cannot be read."""
    try:
        return _FILE.validate_json(json.dumps(_TEXT.load(text)))
    except ValidationError as error:
        raise TariffFlawed(tuple(_flaw(dict(found)) for found in error.errors())) from error
    except TariffError as error:
        flaw = Flaw(error.field, str(error.value), error.remedy)
    raise TariffFlawed((flaw,))


def write_fares(tariff: FareTariff) -> str:
    """The tariff's file in the order of the format, without members at their default; a matrix row is one line."""
    return _lines(_FILE.dump_python(tariff, mode="json", exclude_defaults=True), 0) + "\n"


def plain(tariff: FareTariff) -> dict[str, Any]:
    """The tariff as JSON values, members at their default too."""
    return cast(dict[str, Any], _FILE.dump_python(tariff, mode="json"))


def schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Fare tariff ({FORMAT})",
    } | {name: value for name, value in _FILE.json_schema().items() if name != "title"}


def _lines(value: object, depth: int) -> str:
    """JSON that a person can review: what fits a line stands on one."""
    short = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(short) + 2 * depth <= 100 or _is_row(value):
        return short
    pad = "  " * (depth + 1)
    if isinstance(value, list):
        parts = [pad + _lines(item, depth + 1) for item in value]
    else:
        parts = [
            f"{pad}{json.dumps(name, ensure_ascii=False)}: {_lines(item, depth + 1)}"
            for name, item in value.items()
        ]
    opened, closed = "[]" if isinstance(value, list) else "{}"
    return f"{opened}\n" + ",\n".join(parts) + f"\n{'  ' * depth}{closed}"


def _is_row(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, int | None) for x in value)


def _flaw(found: dict[str, Any]) -> Flaw:
    loc = found["loc"]
    steps = [
        str(step)
        for place, step in enumerate(loc)
        if not (step in _TAGS and place and (loc[place - 1] in _TAGGED or (loc[0], place) == ("modes", 2)))
    ]
    given = json.dumps(found["input"], ensure_ascii=False, default=str)
    value = given if len(given) <= 60 else given[:57] + "…"
    path = ".".join(steps) or "the file"
    match found["type"]:
        case "missing" | "missing_argument":
            return Flaw(path, "missing", "write it")
        case "unexpected_keyword_argument" | "extra_forbidden":
            return Flaw(path, value, "it is not known here: correct its name, or take it away")
    return Flaw(path, value, str(found["msg"]).removeprefix("Value error, "))
