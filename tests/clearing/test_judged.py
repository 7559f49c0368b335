"""Tonight's taps are read in pieces, and it makes no difference how large these are."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Engine, select

from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing import judged, presented
from clearing.columns import Presented, tap_table
from clearing.context import StepRefused
from clearing.judged import fresh_taps, judged_taps
from clearing.priced import PRICED
from clearing.tables import card_position, tap
from clearing.tap_file import TAPS
from clearing.workfiles import read_table, write_table
from ledger.db import reading
from ledger.tables import line
from tests.support.clearing_day import DAY, TAP, SmallCity, card_no, signed


@pytest.fixture
def city(engine: Engine, hsm_process: RunningHsm, tmp_path: Path) -> Iterator[SmallCity]:
    with Hsm(hsm_process.host, hsm_process.port) as hsm:
        small = SmallCity(engine, hsm, tmp_path / "city")
        small.furnish(purse_fen=300)
        yield small


def present(city: SmallCity) -> None:
    """Five batches of three cards' taps, out of order; no purse covers them all."""
    rides = [
        replace(TAP, card_no=card_no(card), counter=n, balance_before_fen=10_000 - 160 * (n - 1))
        for n in (1, 2, 3, 4)
        for card in (1, 2, 3)
    ]
    for sequence, part in enumerate((rides[9:], rides[:1], rides[1:7], rides[7:9]), 1):
        city.present("BUS-1", sequence, [signed(one) for one in part])


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_the_books_are_the_same_however_small_the_pieces(
    city: SmallCity, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(judged, "PIECE_ROWS", rows)
    present(city)
    counts = city.clear()["post"].counts
    assert (counts["taps"], counts["entries"], counts["paid_fen"]) == (12, 4, 12 * 160)
    with reading(city.engine) as conn:
        kept = conn.execute(select(tap.c.sequence, tap.c.position, tap.c.counter, tap.c.paid_fen)).all()
        items: dict[str, int] = {}
        for item, amount_fen in conn.execute(select(line.c.item, line.c.amount_fen)):
            items[item] = items.get(item, 0) + amount_fen
        stand = conn.execute(select(card_position.c.counter, card_position.c.balance_fen)).all()
    assert len(kept) == 12 and sum(row.paid_fen for row in kept) == 12 * 160
    taps = {f"{card_no(card)}:{n}": 160 for card in (1, 2, 3) for n in (1, 2, 3, 4)}
    assert {item: fen for item, fen in items.items() if item in taps} == taps
    assert [tuple(row) for row in stand] == [(4, 10_000 - 4 * 160)] * 3


def test_a_piece_of_paid_taps_ends_where_a_batch_does(
    city: SmallCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    present(city)
    city.clear()
    monkeypatch.setattr(judged, "PIECE_ROWS", 2)
    with judged_taps(city.night()) as taps:
        pieces = [piece["sequence"].to_pylist() for piece in taps.paid()]
    assert [number for piece in pieces for number in piece] == [1] * 3 + [2] + [3] * 6 + [4] * 2
    assert all(before[-1] != after[0] for before, after in pairwise(pieces))


def test_prices_of_other_taps_are_refused_with_the_way_out(city: SmallCity) -> None:
    present(city)
    dearer = [replace(TAP, card_no=card_no(card), counter=5, amount_fen=170) for card in (1, 2)]
    city.present("BUS-1", 6, [signed(one) for one in dearer])
    city.clear()
    night = city.night()
    priced = read_table(night.work / PRICED)
    of_others = priced.replace_schema_metadata({**priced.schema.metadata, b"taps": b"13"})
    for wrong in (priced.slice(1), priced.take(pa.array(range(priced.num_rows - 1, -1, -1))), of_others):
        write_table(night.work / PRICED, wrong)
        with pytest.raises(StepRefused, match="run the night again from `collect`"), judged_taps(night):
            pytest.fail("taps were read beside prices of others")
    assert read_table(night.work / TAPS).num_rows == 14 and priced.num_rows == 2


def test_taps_are_told_by_whether_they_came_before_and_no_others_are_laid_out(
    city: SmallCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubtful = [replace(TAP, card_no=card_no(card), counter=9) for card in (1, 2)]
    city.present("BUS-1", 1, [replace(signed(one), tac=b"gray") for one in doubtful])
    city.clear()
    city.present("BUS-1", 2, [signed(replace(TAP, card_no=card_no(card))) for card in (1, 2, 3)])
    next_day = DAY + timedelta(days=1)
    city.clear(next_day)
    night, laid_out = city.night(next_day), list[int]()

    def counted(groups: list[Presented], *arguments: Any, **named: Any) -> pa.Table:
        laid_out.append(sum(len(group.positions) for group in groups))
        return tap_table(groups, *arguments, **named)

    monkeypatch.setattr(presented, "PIECE_ROWS", 1)
    monkeypatch.setattr(presented, "tap_table", counted)
    assert [taps["sequence"].to_pylist() for taps in fresh_taps(night)] == [[2]] * 3
    assert laid_out == [1] * 3
    with judged_taps(night) as taps:
        assert [again["sequence"].to_pylist() for again in taps.retried()] == [[1]] * 2
    assert laid_out == [1] * 5
