"""JSON that people write and programs obey, read strictly: a slip of the pen is named, never passed over."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any


class FieldError(Exception):
    """A text that cannot be used: `field` (its path) holds `value`; `remedy` says what to do."""

    noun = "file"

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{self.noun} field {field} is {value!r}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class Strict:
    """Reads one kind of text: whatever is wrong is raised as `error`; `page` shows how it is written."""

    error: type[FieldError]
    page: str

    def load(self, text: str) -> object:
        """The JSON value; a member written twice is an error."""
        try:
            return json.loads(text, object_pairs_hook=self._no_twins)
        except json.JSONDecodeError as error:
            raise self.error(f"line {error.lineno}", error.msg, "write the file as JSON") from error
        except ValueError as error:  # a number of thousands of digits
            raise self.error("the file", str(error), "write numbers that a person can read") from error
        except RecursionError as error:
            raise self.error("the file", "nested without end", f"write it as {self.page} shows") from error

    def members(
        self, path: str, value: object, *names: str, optional: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Exactly these members: a misspelt one must not pass for an absent one."""
        known = (*names, *optional)
        if not isinstance(value, dict):
            raise self.error(path or "the file", value, f"it must be an object with {', '.join(known)}")
        for name in (*names, *value):
            at = f"{path}.{name}" if path else name
            if name not in value:
                raise self.error(at, None, "it is missing: write it")
            if name not in known:
                raise self.error(at, value[name], f"it is not known here; known are {', '.join(known)}")
        return value

    def integer(self, path: str, value: object, least: int, most: int) -> int:
        """A whole number within bounds."""
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(path, value, f"it must be a whole number from {least} to {most}")
        return value

    def day(self, path: str, value: object) -> date:
        """A day of the calendar, YYYY-MM-DD."""
        try:
            if isinstance(value, str) and len(value) == 10:
                day = date.fromisoformat(value)
                # A day of a week, 2026-W01-1, has ten characters too.
                if day.isoformat() == value:
                    return day
        except ValueError as error:
            raise self.error(path, value, "there is no such day") from error
        raise self.error(path, value, "it must be a day written YYYY-MM-DD")

    def one_of(self, path: str, value: object, *choices: str) -> str:
        """One of these words."""
        if not isinstance(value, str) or value not in choices:
            raise self.error(path, value, f"it must be one of {', '.join(choices)}")
        return value

    def _no_twins(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict[str, Any]()
        for name, value in pairs:
            if name in members:
                raise self.error(name, "twice", "write it once")
            members[name] = value
        return members
