"""Waiting for jobs: when to poll, what a poll means, and what waits share. Needs no Airflow."""
