"""Questions to the books that are asked together, in one round trip, in words that both databases know."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime
from itertools import count
from typing import Final

from sqlalchemy import Connection, text

from ledger.db import WRITER_LOCK
from ledger.talk import Rows, Value, talking

Parameter = str | date | Sequence[str]

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {
        ":one_of": "= ANY (CAST($? AS text[]))",
        ":value": "$?",
        ":lock_writers": f"pg_advisory_xact_lock({WRITER_LOCK})",
        ":start_of_day": "(CAST(to_char(ledger_day.business_date, 'YYYYMMDD') AS bigint) * 10000000000)",
    },
    "sqlite": {
        ":one_of": "IN (SELECT value FROM json_each(?))",
        ":value": "?",
        ":lock_writers": "1",
        ":start_of_day": "(CAST(replace(ledger_day.business_date, '-', '') AS integer) * 10000000000)",
    },
}


BY_KEY: Final = (
    "SELECT set_config('enable_seqscan', 'off', true),"
    " set_config('plan_cache_mode', 'force_generic_plan', true)"
)
AS_IT_LIKES: Final = (
    "SELECT set_config('enable_seqscan', 'on', true), set_config('plan_cache_mode', 'auto', true)"
)


@contextmanager
def without(conn: Connection, *ways: str) -> Iterator[None]:
    """Let PostgreSQL do without ways to find rows that it misjudges; its settings `enable_…` have their names."""
    _may(conn, ways, "off")
    yield
    _may(conn, ways, "on")


def looking_up(conn: Connection) -> AbstractContextManager[None]:
    """Let PostgreSQL join rows by looking each up, where it takes a few of them for more than all there are."""
    return without(conn, "hashjoin", "mergejoin")


def by_key_where_few(conn: Connection, wanted: int) -> AbstractContextManager[None]:
    """Let PostgreSQL find accounts by their keys where that costs it less than to read all of them.

    It takes a look-up for much dearer than it is, and would read all, with all its processes, for a fiftieth of them.
    """
    if conn.dialect.name != "postgresql" or wanted * _READ_IN_A_LOOK_UP >= _accounts(conn):
        return nullcontext()
    return without(conn, "seqscan")


_READ_IN_A_LOOK_UP: Final = 10
"""Accounts that are read in the time that it takes to look one up: measured 9, of four million."""


def _accounts(conn: Connection) -> int:
    """How many accounts there are, which are numbered from 1 on."""
    most: int = conn.execute(text("SELECT coalesce(max(id), 0) FROM ledger_account")).scalar_one()
    return most


def _may(conn: Connection, ways: Sequence[str], switch: str) -> None:
    if conn.dialect.name == "postgresql":
        for way in ways:
            conn.execute(text(f"SET LOCAL enable_{way} = {switch}"))


class Question:
    """A query in the words of each database.

    `:value` stands for the next parameter, `:one_of` for being one of many texts, which are one parameter,
    `:start_of_day` for `ledger.ids.before_first` of a row of `ledger_day`, and `:lock_writers` for being the one
    writer until the transaction ends, as SQLite's is from its beginning.
    """

    def __init__(self, words: str) -> None:
        self._words = {name: _translated(words, known) for name, known in _WORDS.items()}
        self.in_postgresql = self._words["postgresql"]

    def words_for(self, conn: Connection) -> str:
        """The query as the database behind a connection takes it."""
        return self._words[conn.dialect.name]


def ask_together(conn: Connection, asked: Sequence[tuple[Question, Sequence[Parameter]]]) -> list[Rows]:
    """The rows of each question with its parameters, in the order asked; on PostgreSQL in one round trip.

    All are to look rows up by their keys, and there they do so whatever a table's size was when a plan was made.
    """
    if conn.dialect.name != "postgresql":
        return [
            [tuple(row) for row in conn.exec_driver_sql(question.words_for(conn), _for_sqlite(parameters))]
            for question, parameters in asked
        ]
    texts = [(question.words_for(conn), [_for_postgresql(one) for one in given]) for question, given in asked]
    return run_by_key(conn, texts)


def run_by_key(conn: Connection, statements: Sequence[tuple[str, Sequence[Value]]]) -> list[Rows]:
    """Run statements in PostgreSQL's words, with values, in one round trip; the rows of those that have any.

    A plan that is made while a table is nearly empty reads all of it, and stays when it has grown to millions.
    Hence none may be made that reads whole tables where there is a key.
    """
    with talking(conn) as talk:
        talk.say(BY_KEY)
        for words, values in statements:
            talk.say(words, values)
        talk.say(AS_IT_LIKES)
        return talk.hear_all()[1:-1]


def array_of(texts: Sequence[str]) -> str:
    """Texts, none with a NUL, as PostgreSQL writes an array of them: faster made and read than one by one."""
    if not texts:
        return "{}"
    joined = "\x00".join(texts).replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + joined.replace("\x00", '","') + '"}'


def array_of_numbers(numbers: Sequence[int]) -> str:
    """Whole numbers as PostgreSQL writes an array of them."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _translated(words: str, known: Mapping[str, str]) -> str:
    for name, translation in known.items():
        words = words.replace(name, translation)
    numbers = count(1)
    return re.sub(r"\$\?", lambda _: f"${next(numbers)}", words)


def _for_postgresql(parameter: Parameter) -> str | date:
    return parameter if isinstance(parameter, str | date) else array_of(parameter)


def _for_sqlite(parameters: Sequence[Parameter]) -> tuple[str, ...]:
    return tuple(_sqlite_value(one) for one in parameters)


def _sqlite_value(parameter: Parameter) -> str:
    match parameter:
        case datetime():
            return parameter.astimezone(UTC).isoformat(timespec="microseconds")
        case date():
            return parameter.isoformat()
        case str():
            return parameter
        case _:
            return json.dumps(list(parameter))
