"""What runs in the triggerer: one hub that shares clients, connections and budgets, and the job triggers."""
