"""One module per change of the job database."""
