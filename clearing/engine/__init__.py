"""Where the night's rules run: DuckDB in this process, or a cluster that speaks Spark SQL."""
