"""One API key's requests: what is left, and when the next may go."""
