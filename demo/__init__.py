"""``python -m demo``: both example Dags against the simulator, from input files to a summary."""
