"""What authors test their strategies with; they know it as ``batch_jobs.testing``."""
