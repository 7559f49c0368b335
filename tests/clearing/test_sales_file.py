"""Files of fare products sold: read whole, or refused with every cell that is wrong."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from clearing.sectors.transit.fare_file import TariffFlawed
from clearing.sectors.transit.fare_products import (
    Sale,
    Withdrawal,
    holdings_of,
    keep_sales,
    sales_to,
    withdraw_sale,
)
from clearing.sectors.transit.fare_taps import Holding
from clearing.sectors.transit.sales_file import COLUMNS, read_sales
from ledger.db import migrate, writing

ZONE = ZoneInfo("Asia/Shanghai")
PRODUCTS = ("day pass", "month pass")
KNOWN = [f"0310487{n:013d}" for n in range(1, 5)]
AT = datetime(2026, 3, 2, 7, 40, tzinfo=ZONE)
TOLD = AT + timedelta(days=730)
"""When the seller's files are taken in."""
TAKEN_BACK = Withdrawal("lin", "sold to the wrong card", datetime(2026, 3, 3, tzinfo=UTC))


def read(*rows: str, header: str = ",".join(COLUMNS)) -> list[Sale]:
    return read_sales("\n".join([header, *rows]).encode(), ZONE, at=TOLD, products=PRODUCTS, cards=known)


def known(numbers: Iterable[str]) -> set[str]:
    return set(numbers) & set(KNOWN)


def flaws_of(*rows: str, header: str = ",".join(COLUMNS)) -> list[str]:
    with pytest.raises(TariffFlawed) as refused:
        read(*rows, header=header)
    return [str(flaw) for flaw in refused.value.flaws]


sales = st.builds(
    Sale,
    st.text(st.characters(categories=("L", "N")), min_size=1, max_size=64),
    st.builds(
        Holding,
        st.sampled_from(KNOWN),
        st.sampled_from(PRODUCTS),
        st.integers(0, 10**6).map(lambda minutes: AT + timedelta(minutes=minutes)),
    ),
)


@given(st.lists(sales, min_size=1, max_size=10), st.booleans())
def test_sales_that_are_written_down_are_read_as_they_were(told: list[Sale], with_offset: bool) -> None:
    rows = [
        f"{one.reference},{one.holding.card},{one.holding.product},"
        f"{one.holding.bought_at if with_offset else one.holding.bought_at.replace(tzinfo=None)}"
        for one in told
    ]
    assert read(*rows) == told


def test_every_wrong_cell_of_a_file_is_named_with_what_to_do() -> None:
    rows = (
        f",{KNOWN[0]},day pass,2026-03-02T07:40",
        "S2,0310487,day pass,2026-03-02T07:40",
        "S3,03104870000000000099,day pass,2026-03-02T07:40",
        f"S4,{KNOWN[0]},year pass,2026-03-02T07:40",
        f"S5,{KNOWN[0]},day pass,this morning",
        f"S6,{KNOWN[0]},day pass,2026-03-02T07:40",
    )
    found = flaws_of(*rows)
    assert [flaw.split(" is ")[0] for flaw in found] == [
        "row 2 reference", "row 3 card_no", "row 4 card_no", "row 5 product", "row 6 bought_at",
    ]  # fmt: skip
    assert "was never issued" in found[2] and "day pass, month pass" in found[3]


@pytest.mark.parametrize(
    "bought_at",
    ["9999-12-31T23:59Z", "0001-01-01", "0001-01-01T00:00+14:00", "1999-12-31T23:59", "2062-03-02T07:40",
     f"{TOLD + timedelta(minutes=1)}"],
)  # fmt: skip
def test_a_sale_at_a_moment_at_which_nothing_can_have_been_sold_is_named(bought_at: str) -> None:
    [flaw] = flaws_of(f"S1,{KNOWN[0]},day pass,{bought_at}")
    assert flaw.startswith(f"row 2 bought_at is {bought_at}: give the time of the sale")
    assert read(f"S1,{KNOWN[0]},day pass,{TOLD}")[0].holding.bought_at == TOLD


def test_a_row_of_more_cells_than_the_header_names_is_not_taken_in_part() -> None:
    [flaw] = flaws_of(f"S1,{KNOWN[0]},day pass,2026-03-02T07:40,taken back")
    assert flaw == "row 2 is taken back beyond the header: give 4 cells, with quotes around one with a comma"
    [flaw] = flaws_of("S1,1,day pass,2026-03-02,S2", header=f"{','.join(COLUMNS)},reference")
    assert "reference twice" in flaw


def test_a_file_of_another_shape_is_refused_with_the_header_it_needs() -> None:
    assert "no bought_at" in flaws_of("S1,1,day pass", header="reference,card_no,product")[0]
    assert "no sales" in flaws_of()[0]


def test_a_sale_taken_back_holds_no_longer_and_stays_on_record(engine: Engine) -> None:
    kept = [Sale(f"S{n}", Holding(KNOWN[0], "day pass", AT + timedelta(days=n))) for n in (1, 2)]
    with writing(engine) as conn:
        keep_sales(conn, kept)
        assert withdraw_sale(conn, "S2", TAKEN_BACK) == kept[1]
        assert withdraw_sale(conn, "S2", Withdrawal("wu", "again", AT)) == TAKEN_BACK
        assert withdraw_sale(conn, "S3", TAKEN_BACK) is None
        assert holdings_of(conn, KNOWN) == [kept[0].holding]
        assert sales_to(conn, KNOWN[0]) == [(kept[1], TAKEN_BACK), (kept[0], None)]
        assert keep_sales(conn, kept) == 0
    migrate(engine, "0038_tap_belongs")
    migrate(engine)
    with writing(engine) as conn:
        assert sales_to(conn, KNOWN[0]) == [(kept[0], None)]
