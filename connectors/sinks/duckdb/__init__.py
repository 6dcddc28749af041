"""The DuckDB sink."""
