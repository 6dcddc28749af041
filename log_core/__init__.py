"""The bundled partitioned log."""
