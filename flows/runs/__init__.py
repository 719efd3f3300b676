"""One run of a job: a strategy as a Prefect flow, its attempts and signs of life."""
