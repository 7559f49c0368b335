"""How many examples the properties try whose examples are slow: whole days, nights, or mixes of everything.

A run of all tests tries a few, new ones each time; `DEPTH=20` tries twenty times as many, as `make soak` does.
"""

import os
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings

DEPTH: Final = int(os.environ.get("DEPTH", "1"))
UNSHRUNK: Final = (Phase.explicit, Phase.reuse, Phase.generate)
"""For what is drawn from a seed, or takes a second: an example that fails is as small as it gets."""


def examples(few: int, **others: Any) -> settings:
    """The settings of a property of slow examples, of which `few` are enough for one run of many."""
    return settings(
        max_examples=few * DEPTH, deadline=None, suppress_health_check=list(HealthCheck), **others
    )
