"""Where a federation runs: one protocol, and backends that keep it."""
