"""Every word of the pages, in English and Chinese: one table, `texts.json`, and how a page's language is chosen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from api.http.problems import Problem

TABLE: Final = Path(__file__).parent / "texts.json"
COOKIE: Final = "onecard_language"
A_YEAR_S: Final = 365 * 24 * 3600

router = APIRouter()


class Language(StrEnum):
    """A language of the pages, in the order of the columns of the table."""

    EN = "en"
    ZH = "zh"

    @property
    def tag(self) -> str:
        """What the page says it is written in (BCP 47)."""
        return "zh-CN" if self is Language.ZH else "en"

    @property
    def other(self) -> "Language":
        """The one to switch to."""
        return Language.EN if self is Language.ZH else Language.ZH


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with its values put in. Raises KeyError where the table has no such key."""
        return texts()[key][tuple(Language).index(self.language)].format(**values)

    def word(self, sort: str, value: object) -> str:
        """What a word of our own programs is called, such as a verdict; the word itself where it has no name."""
        key = f"{sort}.{value}"
        return self(key) if key in texts() else str(value).replace("_", " ")

    def problem(self, problem: Problem) -> str:
        """A problem in plain words: what was wrong and what to do."""
        key = f"problem.{problem.code}"
        if key in texts():
            return self(key, **{"retry_after_s": "", **problem.members})
        return self("problem.other", detail=problem.detail)


@cache
def texts() -> Mapping[str, tuple[str, str]]:
    """The table: a key's text in each language."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return {f"{part}.{key}": (row[0], row[1]) for part, rows in table.items() for key, row in rows.items()}


def language_of(request: Request) -> Language:
    """What the visitor chose, else what the browser asks for, else Chinese."""
    chosen = request.cookies.get(COOKIE)
    if chosen in tuple(Language):
        return Language(chosen)
    wanted = [
        part.split(";")[0].strip().lower() for part in request.headers.get("accept-language", "").split(",")
    ]
    for one in wanted:
        for language in Language:
            if one.split("-")[0] == language:
                return language
    return Language.ZH


def words_of(request: Request) -> Words:
    """The words that answer this request."""
    return Words(language_of(request))


@router.get("/language/{language}")
def switch(language: Language, next: str = "/") -> RedirectResponse:
    """Keep the visitor's choice and go back to the page it was made on, which is one of ours."""
    ours = next.startswith("/") and not next.startswith(("//", "/\\")) and next.isprintable()
    answer = RedirectResponse(next if ours else "/", 303)
    answer.set_cookie(COOKIE, language, max_age=A_YEAR_S, secure=True, httponly=True, samesite="strict")
    return answer
