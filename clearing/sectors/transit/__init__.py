"""Transit: tariffs as data that an authority can read and review, and what rides cost by them (docs/fares.md)."""
