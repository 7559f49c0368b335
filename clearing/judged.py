"""Tonight's taps with their verdicts, prices and payments, read a piece at a time from the files of the steps before.

All that booking knows of those files is here. A night may have more taps than memory: what concerns a card is summed
up by DuckDB, which has a bounded share of it, and the rest passes by in pieces.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clearing.columns import card_text_column, is_text, numbers, rows_where, truths
from clearing.context import Night, StepRefused
from clearing.engine.duck_room import opened_room, quoted, rows_of_file, threads_for
from clearing.presented import presented_taps
from clearing.priced import EVERY_TAP, NAMES, PRICED, Priced
from clearing.tables import tap
from clearing.tap_file import TAPS
from clearing.verdict import Money

PIECE_ROWS: Final = 100_000
"""Taps in memory at once, of one batch or of several; a larger batch is booked whole, as it is one entry."""

Batch = tuple[str, int]
"""Operator and sequence."""

_MEMORY: Final = "800MB"
_CARD_TEXT: Final = (
    "CREATE TEMP MACRO card_text(head, tail) AS lpad(hex(head), 4, '0') || lpad(hex(tail), 16, '0')"
)
# A card's number is written out once a card, and not for each of its taps. Cards come in the order of their texts, but
# are sorted by their numbers; of the last sixteen digits the highest bit is a sign, so that 8 and 9 come after 7.
_COSTS: Final = (
    "SELECT card_text(card_head, card_tail) AS card_no, amount_fen FROM"
    " (SELECT card_head, card_tail, sum(amount_fen)::BIGINT AS amount_fen FROM paid GROUP BY card_head, card_tail)"
    " ORDER BY card_head, card_tail < 0, card_tail"
)
# Twins are not chained: of one card and counter there is one tap at most.
_POSITIONS: Final = (
    "SELECT card_text(card_head, card_tail) AS card_no, first_counter, counter, balance_fen, at_s FROM"
    " (SELECT card_head, card_tail, min(counter) AS first_counter, max(counter) AS counter,"
    " arg_max(balance_before_fen - amount_fen, counter) AS balance_fen, arg_max(at_s, counter) AS at_s"
    " FROM judged WHERE chained GROUP BY card_head, card_tail) ORDER BY card_head, card_tail < 0, card_tail"
)
_BOOKED: Final = ("no", "operator", "sequence", "retried", "card_head", "card_tail", "counter", "amount_fen")
_PAID: Final = (
    "SELECT count(*), coalesce(sum(paid_fen), 0)::BIGINT, coalesce(sum(amount_fen), 0)::BIGINT,"
    " count(DISTINCT (operator, sequence)) FROM paid"
)


class Total(NamedTuple):
    """Taps that are paid: how many, what is paid, what they show as taken, in fen, and of how many batches they are."""

    taps: int
    paid_fen: int
    amount_fen: int
    batches: int


class Judged:
    """The taps of one night, or of one batch of it, in the order of `no`; made by `judged_taps`."""

    def __init__(self, night: Night, rooms: ExitStack, batch: Batch | None) -> None:
        self._night, self._rooms, self._batch = night, rooms, batch
        _priced(night)

    @cached_property
    def _engine(self) -> duckdb.DuckDBPyConnection:
        """For whoever asks for sums, or for cards."""
        threads = threads_for(pq.read_metadata(self._night.work / TAPS).num_rows)
        engine = self._rooms.enter_context(opened_room(_MEMORY, self._night.work / "post.tmp", threads))
        engine.execute(_CARD_TEXT)
        return engine

    def _of(self, query: str) -> str:
        """A query of the taps as `judged`, and of those that cost something and are paid as `paid`."""
        views = {
            "taps": rows_of_file(self._night.work / TAPS),
            "priced": rows_of_file(self._night.work / PRICED),
            "every_tap": EVERY_TAP,
            "numbered": "SELECT *, card_text(card_head, card_tail) AS card_no FROM every_tap",
            "judged": f"FROM numbered WHERE {_of_batch(self._batch)}",
            "paid": "FROM judged WHERE money = 'paid' AND amount_fen > 0",
        }
        # Views that are made beforehand would have both files looked at once more for each.
        return f"WITH {', '.join(f'{name} AS NOT MATERIALIZED ({view})' for name, view in views.items())} {query}"

    def taps(self) -> int:
        """How many there are."""
        ((count,),) = self._rows("SELECT count(*) FROM judged")
        return int(count)

    def total(self) -> Total:
        """What those come to that cost something and are paid."""
        return Total(*map(int, *self._rows(_PAID)))

    def retried(self) -> Iterator[pa.Table]:
        """Those that came before an earlier night already, some at a time."""
        for taps in _known(self._night, again=True):
            own = self._own(taps)
            if own.any():
                yield rows_where(taps, own)

    def paid(self) -> Iterator[pa.Table]:
        """Those that cost something and are paid, in pieces of whole batches."""
        waiting: list[pa.Table] = []
        for piece in self._booked():
            waiting.append(piece)
            if sum(one.num_rows for one in waiting) >= PIECE_ROWS:
                table = pa.concat_tables(waiting)
                whole = _before_last_batch(table)
                if whole:
                    yield table.slice(0, whole)
                waiting = [table.slice(whole)]
        last = pa.concat_tables(waiting) if waiting else None
        if last is not None and last.num_rows:
            yield last

    def by_operator(self) -> list[tuple[str, int, int, int]]:
        """Each operator's taps, what they show as taken, and what of it is paid, in fen; by operator."""
        query = (
            "SELECT operator, count(*), sum(amount_fen)::BIGINT, sum(paid_fen)::BIGINT"
            " FROM judged GROUP BY operator ORDER BY operator"
        )
        return self._rows(query)

    def verdicts(self) -> dict[str, int]:
        """How many taps have each verdict."""
        return dict(self._rows("SELECT verdict, count(*) FROM judged GROUP BY verdict"))

    def operators(self) -> list[str]:
        """Who is paid for a tap, in order."""
        return self._texts("SELECT DISTINCT operator FROM paid ORDER BY operator")

    def clones(self) -> list[str]:
        """Cards of which two taps have one counter, in order."""
        return self._texts(
            "SELECT DISTINCT card_no FROM judged WHERE verdict = 'counter_conflict' ORDER BY card_no"
        )

    def costs(self) -> Iterator[pa.Table]:
        """What each card's paid taps took from its chip, by card: `card_no`, `amount_fen`."""
        return self._stream(_COSTS)

    def paid_of(self, cards: Sequence[str]) -> pa.Table:
        """The paid taps of these cards, by `no`."""
        self._engine.register("wanted", pa.table({"card_no": pa.array(cards, pa.string())}))
        query = "SELECT no, card_no, counter, amount_fen, paid_fen FROM paid SEMI JOIN wanted USING (card_no)"
        found: pa.Table = self._engine.sql(self._of(f"{query} ORDER BY no")).to_arrow_table()
        return found

    def positions(self) -> Iterator[pa.Table]:
        """By card, the lowest and the highest counter that its own taps show, and what was left after that one."""
        return self._stream(_POSITIONS)

    def _booked(self) -> Iterator[pa.Table]:
        """What is to be booked of the taps that cost something and are paid, in order; some pieces may be empty."""
        priced = _priced(self._night)
        with pq.ParquetFile(self._night.work / TAPS) as file:
            for batch in file.iter_batches(PIECE_ROWS, columns=list(_BOOKED)):
                operator = batch.column("operator").cast(pa.string())
                taps = pa.table({name: batch.column(name) for name in _BOOKED} | {"operator": operator})
                found = priced.beside(taps)
                wanted = is_text(found, "money", Money.PAID.value) & (numbers(taps, "amount_fen") > 0)
                own = rows_where(taps.append_column("paid_fen", found["paid_fen"]), wanted & self._own(taps))
                card_no = card_text_column(numbers(own, "card_head"), numbers(own, "card_tail"))
                yield own.drop_columns(["card_head", "card_tail"]).append_column("card_no", card_no)

    def _own(self, taps: pa.Table) -> npt.NDArray[np.bool_]:
        """Which taps are of the batch, where it is of one."""
        if self._batch is None:
            return np.ones(taps.num_rows, np.bool_)
        operator, sequence = self._batch
        own: npt.NDArray[np.bool_] = numbers(taps, "sequence") == sequence
        return own & is_text(taps, "operator", operator)

    def _texts(self, query: str) -> list[str]:
        return [text for (text,) in self._rows(query)]

    def _rows(self, query: str) -> list[Any]:
        return self._engine.execute(self._of(query)).fetchall()

    def _stream(self, query: str) -> Iterator[pa.Table]:
        for batch in self._engine.sql(self._of(query)).to_arrow_reader(PIECE_ROWS):
            yield pa.Table.from_batches([batch])


def fresh_taps(night: Night) -> Iterator[pa.Table]:
    """What is kept of the taps that come before a night for the first time, some at a time, each time by card.

    Raises StepRefused where the files of the steps before are not of the same taps.
    """
    return _known(night, again=False)


def _known(night: Night, *, again: bool) -> Iterator[pa.Table]:
    """What is kept, and what the rules read, of the taps that came before an earlier night, or of the others."""
    priced = _priced(night)
    for taps in presented_taps(night, tap.c.keys(), by_card=True, retried=again):
        found = priced.beside(taps)
        for name in NAMES:
            taps = taps.append_column(name, found[name])
        wanted = truths(taps, "retried") == again
        yield taps if wanted.all() else rows_where(taps, wanted)


def _priced(night: Night) -> Priced:
    taps = pq.read_metadata(night.work / TAPS).num_rows
    try:
        return Priced(night.work / PRICED, taps)
    except ValueError as error:
        raise StepRefused("post", str(error), "run the night again from `collect`") from error


@contextmanager
def judged_taps(night: Night, batch: Batch | None = None) -> Iterator[Judged]:
    """Open what the steps before have left, of all taps or of one batch.

    Raises StepRefused where their files are not of the same taps.
    """
    with ExitStack() as rooms:
        yield Judged(night, rooms, batch)


def _of_batch(batch: Batch | None) -> str:
    if batch is None:
        return "true"
    operator, sequence = batch
    return f"operator = {quoted(operator)} AND sequence = {sequence}"


def _before_last_batch(table: pa.Table) -> int:
    """How many rows come before the last batch, which may go on."""
    first, last = ((table["operator"][place].as_py(), table["sequence"][place].as_py()) for place in (0, -1))
    if first == last:
        return 0  # as in the middle of a batch that fills many pieces
    operator, sequence = last
    same = is_text(table, "operator", operator) & (numbers(table, "sequence") == sequence)
    return table.num_rows - int(same.sum())
