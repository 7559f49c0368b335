"""Prices are kept of the unusual taps only; beside the taps every one of them has its own."""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearing import priced
from clearing.engine.duck_room import name_file, opened_room
from clearing.engine.rules import PRICE, Inputs
from clearing.priced import EVERY_TAP, NAMES, Priced, write_priced
from clearing.verdict import MONEY, Money, Verdict
from clearing.workfiles import write_table
from tests.support.rules import run

own_verdicts = st.dictionaries(
    st.integers(0, 59),
    st.tuples(
        st.sampled_from([verdict.value for verdict in Verdict if verdict is not Verdict.PRICE_DIFFERS]),
        st.none() | st.integers(0, 400),
        st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    ),
)
FLAGS = ("tac_ok", "chained", "abroad", "window_over")


def some_taps(count: int) -> pa.Table:
    """So many taps, and what each took."""
    return pa.table({"no": pa.array(np.arange(count)), "amount_fen": pa.array(np.arange(count) % 7 * 50)})


def verdict_table(taps: pa.Table, own: dict[int, Any]) -> pa.Table:
    """Verdicts on some of the taps as `90_verdict` leaves them."""
    numbers = sorted(own)
    flags = {
        name: pa.array([own[no][2][place] for no in numbers], pa.bool_()) for place, name in enumerate(FLAGS)
    }
    return pa.table(
        {
            "no": pa.array(numbers, pa.int64()),
            "verdict": pa.array([own[no][0] for no in numbers], pa.string()),
            "price_fen": pa.array([own[no][1] for no in numbers], pa.int64()),
            "amount_fen": taps["amount_fen"].take(pa.array(numbers, pa.int64())),
            **flags,
        }
    )


def paid_by_hand(amount_fen: int, own: Any) -> tuple[object, ...]:
    """NAMES of one tap, as the rule's comment says it."""
    if own is None:
        return True, True, amount_fen, "accepted", "paid", amount_fen
    verdict, price_fen, (tac_ok, chained, abroad, window_over) = own
    money = MONEY[Verdict(verdict)]
    if (verdict == "tac_wrong" and window_over) or (
        abroad and verdict in ("card_unknown", "amount_out_of_bounds")
    ):
        money = Money.REJECTED
    if verdict == "accepted" and price_fen not in (None, amount_fen):
        verdict = "price_differs"
    paid_fen = min(amount_fen, amount_fen if price_fen is None else price_fen) if money == "paid" else 0
    return tac_ok, chained, price_fen, verdict, money.value, paid_fen


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 60), own=own_verdicts, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_every_tap_has_its_price_in_whatever_pieces_they_pass_by(
    count: int, own: dict[int, Any], cuts: list[int]
) -> None:
    taps, own = some_taps(count), {no: row for no, row in own.items() if no < count}
    moneys: Inputs = {
        "verdict": verdict_table(taps, own),
        "verdict_money": pa.table(
            {"verdict": [one.value for one in MONEY], "money": [money.value for money in MONEY.values()]}
        ),
    }
    ends = sorted({0, count, *(cut for cut in cuts if cut < count)})
    with tempfile.TemporaryDirectory() as folder:
        paid = write_table(Path(folder) / "paid.parquet", run(PRICE, moneys, "paid"))
        path = write_priced(Path(folder) / "priced.parquet", paid, count)
        prices = Priced(path, count)
        pieces = [prices.beside(taps.slice(start, end - start)) for start, end in pairwise(ends)]
        backwards = Priced(path, count).beside(taps.take(pa.array(range(count - 1, -1, -1), pa.int64())))
        with opened_room("64MiB", Path(folder) / "spill", threads=1) as engine:
            engine.register("taps", taps)
            name_file(engine, "priced", path)
            beside = engine.sql(EVERY_TAP).order("no").project(", ".join(NAMES)).fetchall()
    found = [tuple(row[name] for name in NAMES) for piece in pieces for row in piece.to_pylist()]
    assert found == beside
    assert [tuple(row[name] for name in NAMES) for row in backwards.to_pylist()] == beside[::-1]
    assert found == [paid_by_hand(no % 7 * 50, own.get(no)) for no in range(count)]


def test_a_file_that_lost_a_price_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priced, "_PIECE_ROWS", 2)
    rows = verdict_table(some_taps(6), dict.fromkeys((1, 4, 5), ("too_late", 0, (True,) * 4)))
    paid = write_table(tmp_path / "paid.parquet", rows)
    path = write_priced(tmp_path / "priced.parquet", paid, 6)
    whole = pq.read_table(path)
    assert Priced(path, 6)
    wrong = (whole.slice(1), whole.take(pa.array([0, 2, 1])), whole.take(pa.array([0, 1, 1])), rows)
    for table in wrong:
        write_table(path, table)
        with pytest.raises(ValueError, match="has not the prices of 6 taps"):
            Priced(path, 6)
    write_table(path, whole)
    for taps in (5, 7):
        with pytest.raises(ValueError, match=f"has not the prices of {taps} taps"):
            Priced(path, taps)
