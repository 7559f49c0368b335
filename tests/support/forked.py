"""Processes that kill themselves at one instant, forked from one that has everything loaded and nothing open."""

import multiprocessing
from typing import Final

FORKED: Final = multiprocessing.get_context("forkserver")
"""The one of this process, whoever starts it first."""
FORKED.set_forkserver_preload(
    ["tests.settlement.killed_night", "tests.terminals.killed_tap", "tests.city.killed_replay"]
)
