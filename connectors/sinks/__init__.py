"""Sink connectors."""
