"""The price of every tap by fare tariffs, over what earlier nights have settled: a column beside the taps.

It is made before the rules run, like the TAC bits, and handed to them as the table `history_fare`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import ARRAY, Connection, DateTime, Engine, FromClause, Text, bindparam, func, or_, select

from clearing.columns import (
    CITY_OFFSET_S,
    DAY_S,
    day_number,
    is_text,
    numbers,
    rows_of,
    rows_where,
    texts,
    truths,
)
from clearing.context import Night
from clearing.interop.centres import centre_codes
from clearing.presented import presented_columns
from clearing.sectors.transit.fare_arrays import GUEST, NEW, SETTLED, FareColumns, Ints
from clearing.sectors.transit.fare_products import holdings_of
from clearing.sectors.transit.fare_tables import REFUSALS
from clearing.sectors.transit.fare_tariff import EntryExit, FareTariff, PaySteps, Period
from clearing.sectors.transit.matrix_file import fare_tariffs
from clearing.tables import tap
from clearing.verdict import Money, Verdict
from clearing.verification import TACS
from clearing.wire.record import FULL_FARE_FLAG, LINKED_FLAG, RECORD_BYTES
from clearing.wire.ride import Ride
from clearing.workfiles import counted, read_table, write_table
from ledger.db import reading

FARES = "fares.parquet"
NO_FARES = pa.schema({name: pa.int64() for name in ("no", "price_fen", "max_fare_fen")})
"""The prices by history where all tariffs are simple, none: the rules price by those themselves."""


def make_fares(engine: Engine, night: Night) -> Path | None:
    """Price tonight's readable taps and keep that as a file; None where simple tariffs are all there are.

    The price is a function of the taps that the cards really made: those whose TAC is right, whatever becomes of
    their money. One that nothing proves yet is priced as though it were the only such one.
    """
    tariffs = fare_tariffs(night.tariffs)
    if not tariffs:
        return None
    # Only a night that prices by history needs the compiler, which takes a second to load.
    from clearing.sectors.transit.fare_columns import price_columns

    taps = presented_columns(night, [*_FACTS, "no", "retried", "malformed"])
    with reading(engine) as conn:
        # What is sold at a counter, and a ride in another city, is no part of a card's journeys: the rules price it.
        elsewhere = numbers(taps, "ride") == Ride.PURCHASE
        for centre in centre_codes(conn):
            elsewhere |= is_text(taps, "operator", centre)
        readable = rows_where(taps, ~truths(taps, "malformed") & ~elsewhere)
        cards = sorted(set(texts(readable, "card_no")))
        settled = _settled(conn, readable, tariffs, night.business_date)
        holdings = holdings_of(conn, cards)
    proved = ~np.isin(numbers(readable, "no"), numbers(read_table(night.work / TACS), "no"))
    columns = _columns(readable, proved, settled)
    as_of_s = (day_number(night.business_date) + 1) * DAY_S - CITY_OFFSET_S
    found = price_columns(tariffs, columns, holdings, as_of_s)
    tonight = slice(0, readable.num_rows)
    price_fen = found.price_fen[tonight]
    names = pa.array(["", *REFUSALS], pa.string())
    table = pa.table(
        {
            "no": pa.array(numbers(readable, "no")),
            "price_fen": pa.array(price_fen, mask=price_fen < 0),
            "max_fare_fen": pa.array(found.most_fen[tonight]),
            "refusal": names.take(found.refusal[tonight]),
        }
    )
    return write_table(night.work / FARES, table)


def fares_made(night: Night) -> Path | pa.Table:
    """The prices that `make_fares` has left for the rules, if it had to; none where all tariffs are simple."""
    return night.work / FARES if fare_tariffs(night.tariffs) else NO_FARES.empty_table()


def unpriced(night: Night) -> dict[str, int]:
    """How many of tonight's taps the fare tariffs do not price, by the reason."""
    reasons = counted(night.work / FARES, "refusal") if fare_tariffs(night.tariffs) else Counter[str]()
    return {f"unpriced_{reason}": reasons[reason] for reason in REFUSALS if reasons[reason]}


def _columns(readable: pa.Table, proved: np.ndarray, settled: pa.Table) -> FareColumns:
    """Tonight's taps, and after them those that are settled."""
    rows = pa.concat_tables([readable.select(_FACTS), settled.select(_FACTS)]).combine_chunks()
    records = rows_of(rows)
    flags = records["flags"]
    before = [np.where(proved, NEW, GUEST), np.full(settled.num_rows, SETTLED)]
    retried = [truths(readable, "retried"), np.zeros(settled.num_rows, np.bool_)]
    prices = [np.full(readable.num_rows, -1), numbers(settled, "price_fen")]
    return FareColumns(
        card_no=rows.column("card_no"),
        operator=rows.column("operator"),
        **{name: numbers(rows, name) for name in _NUMBERS},
        linked=(flags & LINKED_FLAG) != 0,
        full_fare=(flags & FULL_FARE_FLAG) != 0,
        retried=np.concatenate(retried),
        records=np.ascontiguousarray(records).view(np.uint8).reshape(-1, RECORD_BYTES),
        state=np.concatenate(before).astype(np.int64),
        settled_fen=np.concatenate(prices).astype(np.int64),
    )


_NUMBERS = ("sequence", "position", "at_s", "ride", "line", "station", "holder_class", "list_fare_fen")
_FACTS = ["card_no", "operator", "record", *_NUMBERS]


def _settled(
    conn: Connection, readable: pa.Table, tariffs: Sequence[FareTariff], business_date: date
) -> pa.Table:
    """Taps of tonight's cards that are settled, as far back as they can matter to tonight's.

    Most were settled by earlier nights, some between two nights, by judging their batch again.
    """
    first = readable.group_by("card_no").aggregate([("at_s", "min")]).sort_by("card_no")
    since = _since(numbers(first, "at_s_min"), tariffs)
    near = _near(conn, texts(first, "card_no"), since)
    columns = tap.c
    query = (
        select(
            columns.card_no, columns.operator, columns.record, columns.sequence, columns.position,
            columns.event_at, columns.ride, columns.line, columns.station, columns.holder_class,
            columns.list_fare_fen, columns.price_fen,
        )
        .join(near, columns.card_no == near.c.card_no)
        .where(
            columns.event_at >= near.c.since,
            columns.business_date < business_date,
            columns.money != Money.SUSPENDED.value,
            columns.ride != Ride.PURCHASE.value,
            columns.operator.not_in(centre_codes(conn)),
            columns.verdict.not_in([Verdict.MALFORMED.value, Verdict.DUPLICATE.value]),
            or_(columns.tac_ok, columns.money == Money.PAID.value),
        )
        .order_by(columns.operator, columns.sequence, columns.position)
    )  # fmt: skip
    # A night that is judged again after it was booked has its own of them before it.
    tonight = set(_places(rows_where(readable, truths(readable, "retried"))))
    rows = [
        (*row[:5], int(row.event_at.timestamp()), *row[6:11], -1 if row.price_fen is None else row.price_fen)
        for row in conn.execute(query)
        if (row.operator, row.sequence, row.position) not in tonight
    ]
    names = ["card_no", "operator", "record", *_NUMBERS, "price_fen"]
    kinds = [pa.string(), pa.string(), pa.binary(RECORD_BYTES), *[pa.int64()] * 9]
    values = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    return pa.table({name: pa.array(own, kind) for name, own, kind in zip(names, values, kinds, strict=True)})


def _places(taps: pa.Table) -> Iterator[tuple[str, int, int]]:
    """Operator, sequence and position of every tap."""
    numbered = (numbers(taps, name).tolist() for name in ("sequence", "position"))
    return zip(texts(taps, "operator"), *numbered, strict=True)


def _since(first_s: Ints, tariffs: Sequence[FareTariff]) -> list[datetime]:
    """From when on a card's settled taps matter, by the instant of its first tap tonight.

    Sums count from the beginning of their period, and what goes on then began `reach` before. A day more covers
    the zones of tariffs.
    """
    days = ((first_s + CITY_OFFSET_S) // DAY_S).astype("M8[D]")
    starts = {
        Period.DAY: days,
        Period.WEEK: days - (days.astype(np.int64) + 3) % 7,
        Period.MONTH: days.astype("M8[M]").astype("M8[D]"),
    }
    whole = [_reach(tariff) for tariff in tariffs]
    chosen = starts[max((per for per, _ in whole), key=list(Period).index)]
    back = max(span for _, span in whole) + timedelta(days=1)
    lowest = datetime(1, 1, 1, tzinfo=UTC) + back + timedelta(days=1)
    midnights = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in chosen.tolist())
    return [max(midnight, lowest) - back for midnight in midnights]


def _reach(tariff: FareTariff) -> tuple[Period, timedelta]:
    """How far back a price looks: to the beginning of which period, and how long before it what goes on began."""
    pers = [cap.per for cap in tariff.caps]
    pers += [one.quota.per for one in tariff.discounts if one.quota]
    pers += [one.pay.per for one in tariff.discounts if isinstance(one.pay, PaySteps)]
    longest = max(pers, key=list(Period).index, default=Period.DAY)
    chains = [one.transfer.within_min * (one.transfer.most + 1) for one in tariff.discounts if one.transfer]
    gates = [mode.forget_min for mode in tariff.modes.values() if isinstance(mode, EntryExit)]
    # A chain is as long as its transfers and the journeys between them.
    legs = 1 + max((one.transfer.most for one in tariff.discounts if one.transfer), default=0)
    return longest, timedelta(minutes=max(chains, default=0) + legs * max(gates, default=0))


def _near(conn: Connection, cards: list[str], since: list[datetime]) -> FromClause:
    """Card numbers with their instants, sent as one parameter, as a table to join."""
    if conn.dialect.name == "postgresql":
        arrays = bindparam(None, cards, ARRAY(Text)), bindparam(None, since, ARRAY(DateTime(timezone=True)))
        return func.unnest(*arrays).table_valued("card_no", "since", name="near").render_derived()
    pairs = [(card, at.isoformat(timespec="microseconds")) for card, at in zip(cards, since, strict=True)]
    listed = func.json_each(json.dumps(pairs)).table_valued("value")
    return select(
        *(
            func.json_extract(listed.c.value, f"$[{place}]").label(name)
            for place, name in enumerate(("card_no", "since"))
        )
    ).subquery("near")
