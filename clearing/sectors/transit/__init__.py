"""Transit: tariffs as data that an authority can read and review."""
