"""The Prefect server that jobs are run by: started here, found, talked to."""
