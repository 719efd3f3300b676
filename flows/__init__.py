"""How a job runs: the job table and its service, and each strategy as a Prefect flow."""
