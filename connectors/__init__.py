"""Source and sink connectors."""
