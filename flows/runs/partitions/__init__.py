"""A job's partitions as tasks of its Prefect run, on the task runner of the setting."""
