"""Triggers: waits for jobs that run in the triggerer, and the reader of webhooks out of a queue."""
