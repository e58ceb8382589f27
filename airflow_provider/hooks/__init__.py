"""Auth and HTTP for both services: one public method per endpoint."""
