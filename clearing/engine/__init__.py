"""Where the night's rules run: DuckDB in this process."""
