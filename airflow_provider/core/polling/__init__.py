"""How to wait for a job: pure decisions, no Airflow, no HTTP; clock and randomness are passed in."""
