"""How a job is reached: the command line, and Prefect deployments."""
