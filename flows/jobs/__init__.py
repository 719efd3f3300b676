"""Jobs: the job table, what may happen to a job, and the service over both."""
