"""Converters between rows and bytes."""
