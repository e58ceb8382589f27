"""Waiting for jobs: decides, on a clock and randomness passed in, and shares clients; needs no Airflow."""
