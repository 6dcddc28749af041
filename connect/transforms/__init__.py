"""Transforms and predicates that know nothing of any connector."""
