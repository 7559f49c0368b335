"""How a command gets at the engine of the night's rules."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.city_doors import hsm_access
from api.doors import settings
from city.world import City
from clearing.engine.choice import opened_engine
from clearing.engine.duck import DuckEngine
from clearing.engine.rules import RuleEngine


def bounded_engine() -> DuckEngine:
    """The rules' engine in this process, with the memory that the settings give it."""
    return DuckEngine(memory_mib=settings().night_memory_mib)


@contextmanager
def chosen_engine(name: str, opened: City) -> Iterator[RuleEngine]:
    """The engine of a name, whose machines reach the HSMs of this city. Raises EngineFailed."""
    java_home = os.environ.get("JAVA_HOME")
    with opened_engine(
        name,
        hsm_access(opened),
        python=sys.executable,
        java_home=Path(java_home) if java_home else None,
        in_process=bounded_engine(),
        spread_rows=settings().night_spread_rows,
    ) as engine:
        yield engine
