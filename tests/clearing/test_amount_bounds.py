"""What a card may hold bounds a till's sales, the night's rule on them, and other cities' taps: to the same fen."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clearing.engine.duck import IN_PROCESS
from clearing.interop.centres import MAX_AMOUNT_FEN, Centre
from clearing.wire.ride import Ride
from terminals.counter import MOST_FEN
from terminals.till import AS_TYPED
from tests.support.clearing_day import at

TARIFFS_OWN_FEN = 1_400


def bounds_fen(folder: Path) -> dict[int, int]:
    """What the night's rule lets a tap of each ride cost at most, where a tariff covers them all."""
    rides = [int(ride) for ride in Ride]
    kinds = {"no": rides, "tap_day": [0] * len(rides), "fare_kind": rides, "ride": rides}
    kinds |= {"list_fare_fen": [200] * len(rides)}
    fares = {"no": rides, "max_fare_fen": [TARIFFS_OWN_FEN] * len(rides), "price_fen": [160] * len(rides)}
    tables = {"kinds": pa.table(kinds), "fare": pa.table(fares)}
    made = pq.read_table(IN_PROCESS.run(("70_bounds",), tables, "bounds", folder / "bounds.parquet"))
    return {row["no"]: row["max_fare_fen"] for row in made.to_pylist()}


def test_a_till_sells_for_what_the_night_lets_a_sale_cost_and_not_a_fen_more(tmp_path: Path) -> None:
    found = bounds_fen(tmp_path)
    assert found.pop(int(Ride.PURCHASE)) == AS_TYPED.max_fare_fen[Ride.PURCHASE] == MOST_FEN
    assert set(found.values()) == {TARIFFS_OWN_FEN}, "a ride costs what its tariff lets it"


def test_a_centre_may_take_of_a_card_what_a_counter_may_load_onto_it() -> None:
    assert Centre("KUNMING", "Kunming Clearing", at(0)).max_amount_fen == MAX_AMOUNT_FEN == MOST_FEN
