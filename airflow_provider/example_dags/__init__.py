"""The Dags of ``dags/``, for registries and for a copy to start from."""
