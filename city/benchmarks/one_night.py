"""Run the night of a prepared home in a process of its own and say how much memory it took."""

import json
import sys
from datetime import datetime
from pathlib import Path

from city.benchmarks.memory import peak_kib
from city.benchmarks.workload import DAY
from city.home import CITY_ZONE, Home
from city.world import night_of, open_city
from settlement.night import run_night


def main() -> None:
    """`python -m city.benchmarks.one_night HOME`: prints one JSON object, memory in MiB."""
    with open_city(Home(Path(sys.argv[1]))) as city:
        at = datetime(DAY.year, DAY.month, DAY.day, 23, 30, tzinfo=CITY_ZONE)
        run_night(city.engine, night_of(city, DAY, at=at, progress=lambda *_: None))
    print(json.dumps({"peak_mib": round(peak_kib() / 1024, 1)}))


if __name__ == "__main__":
    main()
