"""A holder's history and holdings: every happening once and newest first, whatever the page and the database."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from card.holders import tie_card
from card.tables import held_card
from card.tables import holder as holder_table
from clearing.holder.happening import Happening, Place, Sort, Standing
from clearing.holder.history import history_of, merged, read_place, written
from clearing.holder.holdings import Why, holdings_of
from clearing.online.payment import pay
from clearing.online.refund import Refund, refund
from clearing.online.reversal import Reversal, reverse
from clearing.online.topup import TopUp, confirm_topup, order_topup
from clearing.online.wallet_load import WalletLoad, order_wallet_loads
from ledger.archive import Archive
from ledger.db import reading, writing
from tests.support.archived_month import archived, over
from tests.support.clearing_day import DAY, at
from tests.support.online_books import ANNA, BILL, BO, CARD, ORDER, furnish
from tests.support.written_taps import suspended, tap_row, write_taps

NOW = at(22)


@pytest.fixture
def books(engine: Engine) -> Engine:
    """Anna's books: her card was tied at six in the morning."""
    furnish(engine)
    with writing(engine) as conn:
        person = {
            "identity_index": "a" * 64,
            "identity_sealed": b"-",
            "name_sealed": b"-",
            "phone_sealed": b"-",
        }
        conn.execute(
            insert(holder_table).values(id=ANNA, number=1, enrolled_at=at(5), forgotten_at=None, **person)
        )
        tie_card(conn, ANNA, CARD, at=at(6))
    return engine


def live(engine: Engine) -> None:
    """A day with something of every sort, several of them at the same instant."""
    nine = at(9)
    with writing(engine) as conn:
        assert len(pay(conn, [ORDER, BILL], at=nine)) == 2
        refund(conn, [Refund("back-1", ORDER.reference, 250, DAY, nine)], at=nine)
        reverse(conn, [Reversal("undo-1", BILL.reference, DAY, at(10))], at=nine)
        for number in (1, 2, 3):
            order_topup(conn, TopUp(f"http:CHAN:{number}", ANNA, "CHAN", 1_000 * number, nine), at=nine)
        confirm_topup(
            conn, "http:CHAN:1", channel_id="CHAN", channel_reference="c1", amount_fen=1_000,
            business_date=DAY, event_at=nine, at=nine,
        )  # fmt: skip
        order_wallet_loads(conn, [WalletLoad("L1", ANNA, CARD, 500, DAY, nine)], at=nine)
    write_taps(engine, tap_row(0, nine), tap_row(1, nine), suspended(2, at(11)), tap_row(3, at(12)))


def told(engine: Engine, limit: int, holder: str = ANNA, archive: Archive | None = None) -> list[Happening]:
    """All pages, one after the other."""
    seen: list[Happening] = []
    before: Place | None = None
    for _ in range(100):
        with reading(engine) as conn:
            rows, before = history_of(conn, holder, limit=limit, before=before, archive=archive)
        assert len(rows) <= limit
        seen += rows
        if before is None:
            return seen
        assert read_place(written(before)) == before
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_what_moved_in_archived_months_is_listed_as_before(books: Engine, tmp_path: Path, limit: int) -> None:
    live(books)
    today = over(books, DAY)
    later = at(9, day=today)
    with writing(books) as conn:
        refund(conn, [Refund("back-2", ORDER.reference, 100, today, later)], at=later)
    before = told(books, limit)
    assert {one.kind for one in before} >= {"refund", "reversal"}
    archive = archived(books, DAY, tmp_path)
    assert told(books, limit, archive=archive) == before


def test_every_channel_is_in_one_list_newest_first(books: Engine) -> None:
    live(books)
    seen = told(books, 50)
    assert [one.place.at for one in seen] == sorted((one.place.at for one in seen), reverse=True)
    assert {one.place.sort for one in seen} == set(Sort) - {Sort.RIDE}
    by_kind = {one.kind: one for one in seen}
    assert by_kind["purchase"].amount_fen == -1_250 and by_kind["purchase"].refunded_fen == 250
    assert by_kind["hospital_bill"].standing is Standing.GIVEN_BACK
    assert by_kind["hospital_bill"].amount_fen == -4_000  # the fund's part is not the holder's money
    assert by_kind["load_from_wallet"].standing is Standing.PENDING
    newest_tap = next(one for one in seen if one.place.sort is Sort.TAP)
    assert (newest_tap.line, newest_tap.station, newest_tap.discount_fen) == (7, 3, 40)


def test_pages_of_any_size_show_the_same_list(books: Engine) -> None:
    live(books)
    whole = told(books, 50)
    assert len({one.place for one in whole}) == len(whole) > 10
    for limit in (1, 2, 3, 4, 7, len(whole)):
        assert told(books, limit) == whole


def test_the_history_adds_up_to_what_the_pockets_hold(books: Engine) -> None:
    live(books)
    moved: dict[str, int] = {}
    for one in told(books, 50):
        if one.standing is Standing.PENDING and one.place.sort is Sort.TOPUP:
            continue
        out = one.place.sort in (Sort.PAYMENT, Sort.LOAD)
        for pocket, amount_fen in one.pockets:
            moved[pocket] = moved.get(pocket, 0) + (-amount_fen if out else amount_fen)
    with reading(books) as conn:
        held = {one.name: one.cleared_fen for one in holdings_of(conn, ANNA, at=NOW).pockets}
    assert moved == held


def test_what_waits_is_named_and_not_counted_as_cleared(books: Engine) -> None:
    live(books)
    with reading(books) as conn:
        holdings = holdings_of(conn, ANNA, at=NOW)
    wallet = next(one for one in holdings.pockets if one.name == "wallet")
    assert [(one.why, one.amount_fen) for one in wallet.waiting] == [(Why.TOPUP_ORDERED, 5_000)]
    (purse,) = holdings.purses
    assert {one.why: one.amount_fen for one in purse.waiting} == {
        Why.LOAD_ORDERED: 500,
        Why.TAP_UNDECIDED: -160,
    }
    assert purse.pending_fen == 340


def test_taps_outside_the_tie_are_somebody_elses(books: Engine) -> None:
    with writing(books) as conn:
        conn.execute(held_card.update().values(untied_at=at(12)))
    write_taps(books, tap_row(0, at(5)), tap_row(1, at(6)), tap_row(2, at(11)), tap_row(3, at(12)))
    assert [one.place.at for one in told(books, 10) if one.place.sort is Sort.TAP] == [at(11), at(6)]
    assert [one for one in told(books, 10, BO) if one.place.sort is Sort.TAP] == []


def test_unreadable_and_repeated_taps_are_nobodys_ride(books: Engine) -> None:
    none = {"money": "none", "paid_fen": 0}
    write_taps(
        books,
        tap_row(0, at(7), verdict="duplicate", **none),
        tap_row(1, at(8), verdict="malformed", **none),
        tap_row(2, at(9), verdict="too_late", money="rejected", paid_fen=0),
    )
    (one,) = [one for one in told(books, 10) if one.place.sort is Sort.TAP]
    assert (one.verdict, one.standing) == ("too_late", Standing.NOT_CHARGED)


@given(text=st.text(max_size=80))
def test_any_text_is_a_place_or_none(text: str) -> None:
    place = read_place(text)
    assert place is None or written(place) == text


keys = {
    Sort.TAP: st.tuples(st.text("AZ-1", min_size=1, max_size=8), st.integers(0, 1 << 40), st.integers(0, 9)),
    Sort.TOPUP: st.tuples(st.text("ab:-", min_size=1, max_size=9)),
    Sort.PAYMENT: st.tuples(st.integers(0, 1 << 40)),
}
instants = st.integers(0, 10**15).map(lambda passed: NOW + timedelta(microseconds=passed))
places = st.sampled_from(sorted(keys)).flatmap(
    lambda sort: st.builds(
        Place, instants, st.just(sort),
        keys[sort],
    )
)  # fmt: skip


@given(place=places)
def test_a_place_reads_back_as_it_was_written(place: Place) -> None:
    assert read_place(written(place)) == place


@pytest.mark.parametrize(
    "place", [Place(NOW, Sort.TOPUP, ("\x00",)), Place(NOW, Sort.TAP, ("A", 1 << 70, 0))]
)
def test_a_place_that_no_database_takes_is_none(place: Place) -> None:
    assert read_place(written(place)) is None


@given(minutes=st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=4))
def test_sources_in_order_merge_into_one_order(minutes: list[list[int]]) -> None:
    sources = [
        [
            Happening(Place(NOW + timedelta(minutes=m), tuple(Sort)[n], (k,)), "x", 0, Standing.CLEARED)
            for k, m in enumerate(sorted(own, reverse=True))
        ]
        for n, own in enumerate(minutes)
    ]
    seen = merged(sources)
    assert sorted(one.place.at for one in seen) == [one.place.at for one in reversed(seen)]
    assert len(seen) == sum(map(len, minutes))
