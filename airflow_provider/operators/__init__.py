"""Operators: submit a job once, wait for it, fetch what came of it."""
