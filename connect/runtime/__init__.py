"""The runtime: private, plugins never import it."""
