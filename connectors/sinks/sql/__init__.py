"""The SQL read-model sink."""
