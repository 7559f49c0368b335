"""How fast operators' files come in through the door, beside writing down the same bytes and nothing else."""

import time
from pathlib import Path

from city.benchmarks.workload import land
from city.world import City
from clearing.atomic_files import write_new
from clearing.landing import Landing, Sent
from clearing.wire.batch import parse_batch_name


def door_and_disk(city: City, scratch: Path) -> tuple[float, float]:
    """Seconds in which the files of a prepared inbox come in once more, elsewhere, and are written there, durably."""
    landing, door_s, disk_s = Landing(scratch / "inbox", scratch / "archive"), 0.0, 0.0
    for path in sorted(city.home.inbox.glob("*.ocb")):
        named = parse_batch_name(path.name)
        if named is None:
            raise RuntimeError(f"{path.name} is no batch's name")
        file = Sent(named[0], path.name, path.read_bytes())
        began = time.perf_counter()
        land(city, landing, file)
        landed = time.perf_counter()
        write_new(scratch / "bare" / path.name, file.content)
        door_s, disk_s = door_s + landed - began, disk_s + time.perf_counter() - landed
    return door_s, disk_s
