"""Triggers: waits for jobs, and event triggers for webhooks in a queue and for reports that end."""
