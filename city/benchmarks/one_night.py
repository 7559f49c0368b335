"""Run the night of a prepared home in a process of its own and say how long each step took and how much memory."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from card.hsm.bulk import AT_ONCE
from city.benchmarks.bulk_stream import batch
from city.benchmarks.memory import peak_kib
from city.benchmarks.workload import DAY
from city.home import CITY_ZONE, Home
from city.world import City, night_of, open_city
from clearing import steps
from clearing.columns import rule_table
from clearing.context import Night, Step
from clearing.engine.duck import IN_PROCESS
from settlement.night import run_night

WARM_ROWS = 50_000
"""So many that a worker that is still loading its kernels waits for them."""

RULE_STEPS: dict[str, Step] = {
    "collect": steps.collect,
    "verify": steps.verify,
    "match": steps.match,
    "price": steps.price,
}


def stand_by(city: City) -> None:
    """Load what makes columns, and ask every worker of the HSM something in bulk: a night finds them running."""
    rule_table([])
    for _right in city.hsm.verify_tacs_in_turn(batch(WARM_ROWS, seed) for seed in range(AT_ONCE)):
        continue


def rule_steps(city: City) -> Iterator[tuple[str, float, dict[str, int]]]:
    """Run the night from files to prices, and nothing else of it; each step's name, seconds and counts."""
    night = the_night(city)
    for name, step in RULE_STEPS.items():
        began = time.perf_counter()
        result = step(city.engine, night)
        with result.transaction(city.engine) as conn:
            result = result.written(conn)
        yield name, time.perf_counter() - began, dict(result.counts)


def the_night(city: City) -> Night:
    """The night of the generated day."""
    at = datetime(DAY.year, DAY.month, DAY.day, 23, 30, tzinfo=CITY_ZONE)
    return night_of(city, DAY, at=at, progress=lambda *_: None, rules=IN_PROCESS)


def main() -> None:
    """`python -m city.benchmarks.one_night HOME whole|rules PORT [DATABASE]`: prints one JSON object, memory in MiB.

    PORT is where the HSM listens on this machine; the books are the home's own where no DATABASE is given.
    """
    home, what, port, *database = sys.argv[1:]
    with open_city(
        Home(Path(home)),
        database_url=database[0] if database else None,
        hsm_addresses=[("127.0.0.1", int(port))],
    ) as city:
        took_s, counts = {}, {}
        if what == "rules":
            stand_by(city)
            for name, seconds, found in rule_steps(city):
                took_s[name], counts[name] = seconds, found
        else:
            began = time.perf_counter()
            run_night(city.engine, the_night(city))
            took_s["night"] = time.perf_counter() - began
    print(json.dumps({"peak_mib": round(peak_kib() / 1024, 1), "took_s": took_s, "counts": counts}))


if __name__ == "__main__":
    main()
