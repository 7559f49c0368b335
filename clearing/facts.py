"""What the night's rules know beside the taps: registries and the past, as columns."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import ARRAY, Connection, FromClause, Integer, Select, Text, bindparam, func, select

from card.tables import card, hotlist
from clearing.columns import day_number, rows_where, truths
from clearing.context import Night
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.tables import card_position, chip_load, device, tap
from clearing.verdict import Money, Verdict
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.tariff import Tariff
from ledger.bulk import one_of

WINDOW_DAYS = 30
"""Taps older than this when first presented are not paid; grey taps unproved for longer are rejected."""

FOR_EVER = 1 << 40
"""Seconds, days or fen beyond any that occur: where there is no end."""

NO_FARES = pa.table({name: pa.array([], pa.int64()) for name in ("no", "price_fen", "max_fare_fen")})
"""The prices by history where all tariffs are simple: the rules price by those themselves."""

DISBELIEVED = (Verdict.CARD_UNKNOWN, Verdict.TAC_WRONG, Verdict.COUNTER_CONFLICT)
"""Verdicts on taps that the card may never have made."""


def epoch_s(at: datetime) -> int:
    """Whole seconds since the epoch, as taps are stamped."""
    return int(at.astimezone(UTC).timestamp())


def night_facts(night: Night) -> dict[str, pa.Table]:
    """The night itself: its day and the presentment window."""
    return {
        "night": pa.table(
            {
                "business_day": pa.array([day_number(night.business_date)], pa.int64()),
                "window_days": pa.array([WINDOW_DAYS], pa.int64()),
            }
        )
    }


def registry_facts(conn: Connection, cards: Sequence[str]) -> dict[str, pa.Table]:
    """Devices, the hotlist, and of these cards: the register's entry, the position, confirmed loads."""
    devices = [
        (row.terminal, row.operator, epoch_s(row.valid_from), _end_s(row.valid_to), row.max_amount_fen)
        for row in conn.execute(select(device))
    ]
    listed = [
        (row.card_no, epoch_s(row.listed_at), epoch_s(row.effective_at))
        for row in conn.execute(select(hotlist))
    ]
    known = [
        (row.card_no, row.issuer, *_valid_s(row.valid_from, row.valid_until))
        for row in _of_cards(
            conn, select(card.c.card_no, card.c.issuer, card.c.valid_from, card.c.valid_until), cards
        )
    ]
    positions = _of_cards(conn, select(card_position.c.card_no, card_position.c.first_counter), cards)
    loads = _of_cards(
        conn,
        select(chip_load.c.card_no, chip_load.c.confirmed_at, chip_load.c.amount_fen).where(
            chip_load.c.confirmed_at.is_not(None)
        ),
        cards,
    )
    text, number = pa.string(), pa.int64()
    return {
        "device": _table(
            devices,
            terminal=text,
            operator=text,
            valid_from_s=number,
            valid_to_s=number,
            max_amount_fen=number,
        ),
        "hotlist": _table(listed, card_no=text, listed_s=number, effective_s=number),
        "card": _table(known, card_no=text, issuer=text, valid_from_s=number, valid_to_s=number),
        "card_position": _table(positions, card_no=text, first_counter=number),
        "chip_load": _table(
            [(card_no, epoch_s(at), amount_fen) for card_no, at, amount_fen in loads],
            card_no=text,
            at_s=number,
            amount_fen=number,
        ),
    }


def earlier_taps(conn: Connection, taps: pa.Table, business_date: date) -> pa.Table:
    """Taps of tonight's cards that came before other nights, as far as they touch tonight's counters.

    Suspended ones are not among them, since they come before the night again; nor are malformed ones and
    duplicates, whose originals stand for them.
    """
    readable = rows_where(taps, ~truths(taps, "malformed"))
    spans = readable.group_by("card_no").aggregate([("counter", "min"), ("counter", "max")])
    near = _near(conn, spans.sort_by("card_no"))
    columns = tap.c
    query = (
        select(
            columns.card_no,
            columns.counter,
            columns.record,
            columns.tac_ok,
            columns.verdict,
            columns.balance_before_fen,
            columns.amount_fen,
            columns.event_at,
        )
        .join(near, columns.card_no == near.c.card_no)
        .where(
            columns.counter.between(near.c.lowest - 1, near.c.highest + 1),
            columns.business_date != business_date,
            columns.money != Money.SUSPENDED.value,
            columns.verdict.not_in([Verdict.MALFORMED.value, Verdict.DUPLICATE.value]),
        )
    )
    decided = [
        (*row[:4], row.verdict not in DISBELIEVED, *row[5:7], epoch_s(row.event_at))
        for row in conn.execute(query)
    ]
    return _table(
        decided,
        card_no=pa.string(),
        counter=pa.int64(),
        record=pa.binary(),
        tac_ok=pa.bool_(),
        believed=pa.bool_(),
        balance_before_fen=pa.int64(),
        amount_fen=pa.int64(),
        at_s=pa.int64(),
    )


def tariff_facts(tariffs: Sequence[Tariff | FareTariff]) -> dict[str, pa.Table]:
    """Simple tariffs as tables: periods, limits of a ride, bands from floor to top, shares of the holder classes.

    Where one is a fare tariff there are none of them: then `history_fare` has all prices.
    """
    periods, rides, bands, classes = [], [], [], []
    simple = [tariff for tariff in tariffs if isinstance(tariff, Tariff)]
    for tariff_no, tariff in enumerate(simple if len(simple) == len(tariffs) else ()):
        last_day = FOR_EVER if tariff.valid_to is None else day_number(tariff.valid_to)
        periods.append(
            (tariff_no, tariff.version, day_number(tariff.valid_from), last_day, tariff.linked_discount_fen)
        )
        rides += [(tariff_no, int(ride), limit_fen) for ride, limit_fen in tariff.max_fare_fen.items()]
        classes += [(tariff_no, holder, pay_bp) for holder, pay_bp in tariff.class_pay_bp.items()]
        for ride, of_ride in tariff.bands.items():
            floor_fen = 0
            for band in of_ride:
                top_fen = FOR_EVER if band.up_to_fen is None else band.up_to_fen
                bands.append((tariff_no, int(ride), floor_fen, top_fen, band.pay_bp))
                floor_fen = top_fen
    number = pa.int64()
    return {
        "tariff": _table(
            periods,
            tariff_no=number,
            version=number,
            valid_from_day=number,
            valid_to_day=number,
            linked_discount_fen=number,
        ),
        "tariff_ride": _table(rides, tariff_no=number, ride=number, max_fare_fen=number),
        "tariff_band": _table(
            bands, tariff_no=number, ride=number, floor_fen=number, top_fen=number, pay_bp=number
        ),
        "tariff_class": _table(classes, tariff_no=number, holder_class=number, pay_bp=number),
        "history_fare": NO_FARES,
    }


def _end_s(valid_to: datetime | None) -> int:
    return FOR_EVER if valid_to is None else epoch_s(valid_to)


def _valid_s(valid_from: date | None, valid_until: date | None) -> tuple[int, int]:
    """From when to when a card is valid, in the city; for ever where its days are not known."""
    first_s = 0 if valid_from is None else epoch_s(datetime.combine(valid_from, time(), CITY_ZONE))
    if valid_until is None:
        return first_s, FOR_EVER
    return first_s, epoch_s(datetime.combine(valid_until + timedelta(days=1), time(), CITY_ZONE))


def _near(conn: Connection, spans: pa.Table) -> FromClause:
    """Card numbers with their lowest and highest counter, sent as one parameter, as a table to join."""
    cards, lowest, highest = (
        spans.column(name).to_pylist() for name in ("card_no", "counter_min", "counter_max")
    )
    if conn.dialect.name == "postgresql":
        arrays = (
            bindparam(None, cards, ARRAY(Text)),
            bindparam(None, lowest, ARRAY(Integer)),
            bindparam(None, highest, ARRAY(Integer)),
        )
        return func.unnest(*arrays).table_valued("card_no", "lowest", "highest", name="near").render_derived()
    listed = func.json_each(json.dumps(list(zip(cards, lowest, highest, strict=True)))).table_valued("value")
    return select(
        *(
            func.json_extract(listed.c.value, f"$[{place}]").label(name)
            for place, name in enumerate(("card_no", "lowest", "highest"))
        )
    ).subquery("near")


def _of_cards(conn: Connection, query: Select[Any], cards: Sequence[str]) -> list[Any]:
    return list(conn.execute(query.where(one_of(conn, query.selected_columns["card_no"], cards))))


def _table(rows: Sequence[Sequence[Any]], **columns: pa.DataType) -> pa.Table:
    """Rows as a table, a column a name."""
    taken = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    return pa.table(
        {name: pa.array(values, kind) for (name, kind), values in zip(columns.items(), taken, strict=True)}
    )
