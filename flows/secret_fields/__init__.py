"""Secret fields of contexts: sealed beside the job, opened for its run, masked in what is reported."""
