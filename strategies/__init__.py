"""What a job does: strategies, their handle on a job, and shared parts. Knows neither Prefect nor the job table.

An author of strategies needs ``from batch_jobs.strategies import BatchJobStrategy, JobRun, run_strategy``.
"""

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import BatchJobError, ContextRefused, JobRefused
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.registry import load_strategies
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.testing import run_strategy

__all__ = [
    "BatchJobError",
    "BatchJobStrategy",
    "ContextRefused",
    "FileStore",
    "JobRefused",
    "JobResult",
    "JobRun",
    "load_strategies",
    "make_engine",
    "run_strategy",
]
