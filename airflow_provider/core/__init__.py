"""The engine: jobs, polling, budgets, HTTP and files. Names no vendor."""
