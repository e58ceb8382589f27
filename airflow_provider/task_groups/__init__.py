"""Whole pipelines in one call, as task groups."""
