"""Tailrace's plugin API: what the author of a source, sink, transform or converter imports."""
