"""Taking back what a job changed, by its change log: rows that are as the job left them become what they were."""
