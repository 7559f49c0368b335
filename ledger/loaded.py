"""What a program has loaded, and the collector of garbage, which else looks at all of it again and again."""

import atexit
import gc


def let_stay() -> None:
    """Keep whatever there is by now out of the collector's rounds, until the program ends."""
    gc.freeze()
    # At the end it is garbage like all else: of what is left then, DuckDB's module complains line by line.
    atexit.register(gc.unfreeze)
