"""MediaMagic Lite Integrations API."""
