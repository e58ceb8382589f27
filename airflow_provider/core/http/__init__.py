"""HTTP: connection settings, sessions, retries, and reading of responses."""
