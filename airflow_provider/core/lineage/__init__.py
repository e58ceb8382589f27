"""OpenLineage: what tasks read and write and which job they had done, for Airflow's OpenLineage provider."""
