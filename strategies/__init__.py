"""What a job does: strategies, their handle on a job, and shared parts. Knows neither Prefect nor the job table."""
