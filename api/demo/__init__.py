"""The demo: a real Postgres, a small shop, two sinks, and a comparison at the end."""
