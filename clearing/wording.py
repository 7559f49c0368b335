"""Numbers of taps as people read them."""


def taps_in_words(count: int) -> str:
    """`1 tap`, `12,345 taps`."""
    return f"{count:,} tap" if count == 1 else f"{count:,} taps"
