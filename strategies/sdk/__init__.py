"""What strategies are written with: the base class, the handle on a job, checkpoints, rejects, files, errors."""
