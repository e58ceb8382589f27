"""``python -m demo``: example Dags against the simulator, from input files to a summary."""
