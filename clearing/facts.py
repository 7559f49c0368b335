"""What the night's rules know beside the taps: registries and the past, as columns."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    Text,
    bindparam,
    false,
    func,
    select,
)

from card.tables import card, hotlist
from clearing.columns import CITY_OFFSET_S, DAY_S, card_keys, card_texts, day_number, hex_numbers, numbers
from clearing.context import Night
from clearing.fixed_rows import Field, Lines, fixed_rows, seconds, texts_of
from clearing.interop.centres import answers_of
from clearing.interop.tables import centre
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.suspense import decided
from clearing.tables import card_position, chip_load, device, tap
from clearing.verdict import WINDOW_DAYS, Money, Verdict
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.tariff import Tariff
from ledger.bulk import one_of

RECENT_DAYS = 3
"""A card with a tap older than this gets a closer look; of the others, no load before then lies between two taps."""

REGISTRIES = ("device", "hotlist", "card", "validity", "card_position", "loaded")
PAST = ("earlier", "chip_load")
CARDS_AT_ONCE = 50_000
CARD_WIDTH, ISSUER_WIDTH, TERMINAL_WIDTH, OPERATOR_WIDTH = 20, 8, 12, 8

_CARD: list[tuple[str, pa.DataType]] = [("card_head", pa.int64()), ("card_tail", pa.int64())]
LOADS = pa.schema([*_CARD, ("at_s", pa.int64()), ("amount_fen", pa.int64())])
EARLIER = pa.schema(
    [
        *_CARD,
        ("counter", pa.int64()),
        ("record", pa.binary()),
        ("tac_ok", pa.bool_()),
        ("believed", pa.bool_()),
        ("balance_before_fen", pa.int64()),
        ("amount_fen", pa.int64()),
        ("at_s", pa.int64()),
    ]
)

FOR_EVER = 1 << 40
"""Seconds, days or fen beyond any that occur: where there is no end."""

DISBELIEVED = (
    Verdict.CARD_UNKNOWN,
    Verdict.TAC_WRONG,
    Verdict.COUNTER_CONFLICT,
    Verdict.ROUTED,
    Verdict.ISSUER_REFUSED,
)
"""Verdicts on taps that a card of ours may never have made."""


def disbelieved() -> ColumnElement[bool]:
    """The condition on `tap` that its card may never have made it: nobody has decided to pay it all the same."""
    doubtful = tap.c.verdict.in_([verdict.value for verdict in DISBELIEVED])
    return doubtful & (tap.c.money != Money.PAID.value)


def epoch_s(at: datetime) -> int:
    """Whole seconds since the epoch, as taps are stamped."""
    return int(at.astimezone(UTC).timestamp())


def night_facts(night: Night) -> dict[str, pa.Table]:
    """The night itself: its day, the presentment window, and since when a tap is recent."""
    return {
        "night": pa.table(
            {
                "business_day": pa.array([day_number(night.business_date)], pa.int64()),
                "window_days": pa.array([WINDOW_DAYS], pa.int64()),
                "recent_day": pa.array([day_number(night.business_date) - RECENT_DAYS], pa.int64()),
            }
        )
    }


def registry_facts(conn: Connection, night: Night, days: tuple[date, date] | None) -> dict[str, pa.Table]:
    """Devices, the hotlist, the register of cards, their positions, cards loaded since their last tap (REGISTRIES).

    `days` are the first and the last of tonight's taps, None where no tap can be read.
    """
    return {
        "device": _devices(conn),
        "hotlist": _of_cards(
            conn,
            select(hotlist),
            hotlist.c.card_no,
            listed_s=seconds(conn, hotlist.c.listed_at),
            effective_s=seconds(conn, hotlist.c.effective_at),
        ),
        "card": _registered(conn),
        "validity": _ending_or_beginning(conn, days),
        "card_position": _of_cards(
            conn,
            select(card_position),
            card_position.c.card_no,
            first_counter=card_position.c.first_counter,
            counter=card_position.c.counter,
            balance_fen=card_position.c.balance_fen,
        ),
        "loaded": _of_cards(conn, _loaded_since(night), chip_load.c.card_no),
    }


def looked_at_facts(conn: Connection, looked: pa.Table, business_date: date) -> dict[str, pa.Table]:
    """PAST of the cards that get a closer look: taps of other nights, confirmed loads.

    `looked` has these cards' readable taps, by `card_head`, `card_tail` and `counter`.
    """
    spans = looked.group_by(["card_head", "card_tail"]).aggregate([("counter", "min"), ("counter", "max")])
    spans = spans.sort_by([("card_head", "ascending"), ("card_tail", "ascending")])
    earlier, loads = [], []
    for start in range(0, spans.num_rows, CARDS_AT_ONCE):
        some = spans.slice(start, CARDS_AT_ONCE)
        cards = card_texts(numbers(some, "card_head"), numbers(some, "card_tail"))
        lowest, highest = numbers(some, "counter_min").tolist(), numbers(some, "counter_max").tolist()
        earlier.append(earlier_taps(conn, cards, lowest, highest, business_date))
        confirmed = select(chip_load).where(
            chip_load.c.confirmed_at.is_not(None), one_of(conn, chip_load.c.card_no, cards)
        )
        loads.append(
            _of_cards(
                conn,
                confirmed,
                chip_load.c.card_no,
                at_s=seconds(conn, chip_load.c.confirmed_at),
                amount_fen=chip_load.c.amount_fen,
            )
        )
    return {
        "earlier": pa.concat_tables([EARLIER.empty_table(), *earlier]),
        "chip_load": pa.concat_tables([LOADS.empty_table(), *loads]),
    }


def earlier_taps(
    conn: Connection, cards: list[str], lowest: list[int], highest: list[int], business_date: date
) -> pa.Table:
    """Taps of these cards that came before other nights, as far as they touch tonight's counters.

    Suspended ones are not among them, since they come before the night again; nor are malformed ones and
    duplicates, whose originals stand for them. No tap of another city's card is believed to be of one of ours.
    """
    abroad = {one.issuer for one in answers_of(conn)}
    near = _near(conn, cards, lowest, highest)
    columns = tap.c
    query = (
        select(
            columns.card_no,
            columns.counter,
            columns.record,
            columns.tac_ok,
            disbelieved().label("disbelieved"),
            columns.balance_before_fen,
            columns.amount_fen,
            columns.event_at,
            columns.issuer,
        )
        .join(near, columns.card_no == near.c.card_no)
        .where(
            columns.counter.between(near.c.lowest - 1, near.c.highest + 1),
            columns.business_date != business_date,
            decided(),
            columns.verdict.not_in([Verdict.MALFORMED.value, Verdict.DUPLICATE.value]),
        )
    )
    rows = [
        (
            *row[:4],
            not row.disbelieved and row.issuer not in abroad,
            *row[5:7],
            epoch_s(row.event_at),
        )
        for row in conn.execute(query)
    ]
    found, *others = zip(*rows, strict=True) if rows else [()] * (len(EARLIER) - 1)
    digits = np.frombuffer("".join(found).encode("ascii"), np.uint8).reshape(-1, CARD_WIDTH)
    columns_found = [*card_keys(digits), *others]
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns_found, EARLIER, strict=True)],
        schema=EARLIER,
    )


def _devices(conn: Connection) -> pa.Table:
    columns = device.c
    terminals, operators, valid_from_s, valid_to_s, limits = fixed_rows(
        conn,
        select(device).where(columns.operator.not_in(select(centre.c.code))),
        Field(columns.terminal, TERMINAL_WIDTH),
        Field(columns.operator, OPERATOR_WIDTH, padded=True),
        Field(seconds(conn, columns.valid_from)),
        Field(func.coalesce(seconds(conn, columns.valid_to), FOR_EVER)),
        Field(func.coalesce(columns.max_amount_fen, 0)),
    )
    return pa.table(
        {
            "terminal_no": hex_numbers(terminals),
            "operator": pa.array(texts_of(operators), pa.string()),
            "valid_from_s": valid_from_s,
            "valid_to_s": valid_to_s,
            "max_amount_fen": pa.array(limits, mask=limits == 0),
        }
    )


def _registered(conn: Connection) -> pa.Table:
    """Cards with their issuers."""
    columns = card.c
    return _whose(
        fixed_rows(
            conn, select(card), Field(columns.card_no, CARD_WIDTH), Field(columns.issuer, ISSUER_WIDTH)
        )
    )


def _ending_or_beginning(conn: Connection, days: tuple[date, date] | None) -> pa.Table:
    """Cards that become valid, or are so no more, among these days: from when until before when they are valid.

    Every device reads the days from the card; where one is not known, it is valid for ever.
    """
    columns = card.c
    among = false() if days is None else (columns.valid_from > days[0]) | (columns.valid_until < days[1])
    *whose, first_day, last_day = fixed_rows(
        conn,
        select(card).where(among),
        Field(columns.card_no, CARD_WIDTH),
        Field(columns.issuer, ISSUER_WIDTH),
        Field(columns.valid_from, no_day=date.min),
        Field(columns.valid_until, no_day=date.max),
    )
    valid_from_s, valid_to_s = (day * DAY_S - CITY_OFFSET_S for day in (first_day, last_day + 1))
    table = _whose(whose).append_column("valid_from_s", pa.array(valid_from_s))
    return table.append_column("valid_to_s", pa.array(valid_to_s))


def _whose(texts: Sequence[Lines]) -> pa.Table:
    """Numbers of cards and their issuers, as the numbers that the rules know them by."""
    card_nos, issuers = texts
    head, tail = card_keys(card_nos)
    return pa.table({"card_head": head, "card_tail": tail, "issuer_no": hex_numbers(issuers)})


def _loaded_since(night: Night) -> Select[Any]:
    """Confirmed loads that may lie between two taps of a card which are compared without a closer look."""
    recent = datetime.combine(night.business_date - timedelta(days=RECENT_DAYS), time(0), CITY_ZONE)
    return (
        select(chip_load)
        .outerjoin(card_position, card_position.c.card_no == chip_load.c.card_no)
        .where(
            (chip_load.c.confirmed_at >= recent) | (chip_load.c.confirmed_at >= card_position.c.event_at),
        )
    )


def _of_cards(
    conn: Connection, query: Select[Any], card_no: ColumnElement[str], **values: ColumnElement[int]
) -> pa.Table:
    """Rows about cards: whose, as the numbers that the rules know cards by, and some whole numbers."""
    card_nos, *found = fixed_rows(
        conn, query, Field(card_no, CARD_WIDTH), *(Field(value) for value in values.values())
    )
    head, tail = card_keys(card_nos)
    return pa.table({"card_head": head, "card_tail": tail, **dict(zip(values, found, strict=True))})


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
    }


def _near(conn: Connection, cards: list[str], lowest: list[int], highest: list[int]) -> FromClause:
    """Card numbers with their lowest and highest counter, sent as one parameter, as a table to join."""
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


def _table(rows: Sequence[Sequence[Any]], **columns: pa.DataType) -> pa.Table:
    """Rows as a table, a column a name."""
    taken = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    return pa.table(
        {name: pa.array(values, kind) for (name, kind), values in zip(columns.items(), taken, strict=True)}
    )
