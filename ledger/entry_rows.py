"""Plain entries and their lines as statements to PostgreSQL, which does one part while the next is being decided."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ledger.entry import utc_text
from ledger.questions import array_of, array_of_numbers
from ledger.standing import Accepted, Running

if TYPE_CHECKING:
    from ledger.pipeline import Talk

# Digests come as one run of bytes: cut there, they cost a fifth of what each costs as an array's element.
_ENTRIES: Final = """
INSERT INTO ledger_entry (id, reference, kind, business_date, event_at, posted_at, narrative, first_line_id,
  line_count, digest, chain)
SELECT id, reference, kind, business_date, event_at, CAST($1 AS timestamptz), narrative, first_line_id, line_count,
  substr(CAST($2 AS bytea), CAST(place AS integer) * 32 - 31, 32),
  substr(CAST($3 AS bytea), CAST(place AS integer) * 32 - 31, 32)
FROM unnest(CAST($4 AS bigint[]), CAST($5 AS text[]), CAST($6 AS text[]), CAST($7 AS date[]),
  CAST($8 AS timestamptz[]), CAST($9 AS text[]), CAST($10 AS bigint[]), CAST($11 AS integer[]))
  WITH ORDINALITY AS added(id, reference, kind, business_date, event_at, narrative, first_line_id, line_count, place)
"""
_LINES: Final = """
INSERT INTO ledger_line (id, entry_id, debit_id, credit_id, amount_fen, item, debit_before_id, credit_before_id)
SELECT * FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[]), CAST($3 AS bigint[]), CAST($4 AS bigint[]),
  CAST($5 AS bigint[]), CAST($6 AS text[]), CAST($7 AS bigint[]), CAST($8 AS bigint[]))
"""


def say_entries(
    talk: "Talk",
    accepted: Sequence[Accepted],
    accounts: Mapping[str, Running],
    *,
    at: datetime,
) -> None:
    """Insert plain entries that are booked at `at`, and their lines."""
    numbers, first_line_ids, entries, digests, _, _, chains = zip(*accepted, strict=True)
    talk.say(
        _ENTRIES,
        (
            at,
            "\\x" + b"".join(digests).hex(),
            "\\x" + b"".join(chains).hex(),
            array_of_numbers(numbers),
            array_of([entry.reference for entry in entries]),
            array_of([entry.kind for entry in entries]),
            "{" + ",".join([entry.business_date.isoformat() for entry in entries]) + "}",
            array_of([utc_text(entry.event_at) for entry in entries]),
            array_of([entry.narrative for entry in entries]),
            array_of_numbers(first_line_ids),
            array_of_numbers([len(entry.lines) for entry in entries]),
        ),
    )
    line_ids, entry_ids, debit_ids, credit_ids, amounts_fen, items, *before_ids = zip(
        *line_rows(accepted, accounts), strict=True
    )
    numbered = map(array_of_numbers, (line_ids, entry_ids, debit_ids, credit_ids, amounts_fen))
    talk.say(_LINES, (*numbered, array_of(items), *map(array_of_numbers, before_ids)))


def line_rows(
    accepted: Sequence[Accepted], accounts: Mapping[str, Running]
) -> Iterator[tuple[int, int, int, int, int, str, int, int]]:
    """Lines in posting order, each naming the line before it on both accounts, whose newest one it is then."""
    for taken in accepted:
        for number, line in enumerate(taken.entry.lines, taken.first_line_id):
            debit, credit = accounts[line.debit], accounts[line.credit]
            yield (
                number, taken.entry_id, debit.account_id, credit.account_id, line.amount_fen, line.item,
                debit.last_line_id, credit.last_line_id,
            )  # fmt: skip
            debit.last_line_id = credit.last_line_id = number
