"""Prefect and the job table kept in step."""
