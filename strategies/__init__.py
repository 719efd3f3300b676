"""What a job does: strategies, their handle on a job, and shared parts. Knows neither Prefect nor the job table.

An author of strategies needs ``from batch_jobs.strategies import BatchJobStrategy, JobRun, run_strategy``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.base import BatchJobStrategy
    from batch_jobs.strategies.sdk.context_fields import FileKey, KeepChanges, Query, TableName
    from batch_jobs.strategies.sdk.database import make_engine
    from batch_jobs.strategies.sdk.errors import BatchJobError, ContextRefused, JobRefused
    from batch_jobs.strategies.sdk.files import FileStore
    from batch_jobs.strategies.sdk.job import JobRun
    from batch_jobs.strategies.sdk.partition import Partition
    from batch_jobs.strategies.sdk.registry import load_strategies
    from batch_jobs.strategies.sdk.result import JobResult
    from batch_jobs.strategies.sdk.testing import run_strategy
    from batch_jobs.strategies.tables.frames.frame_export import FrameExport
    from batch_jobs.strategies.tables.frames.frame_import import FrameImport
    from batch_jobs.strategies.tables.frames.frame_update import FrameUpdate
    from batch_jobs.strategies.tables.frames.source_reader import FrameChunk
    from batch_jobs.strategies.tables.frames.upserting import upsert
else:
    # imported when first asked for: whoever looks up jobs (`batch-jobs list`) needs none of it, pyarrow least of all
    _MODULES = {
        "BatchJobError": "sdk.errors",
        "BatchJobStrategy": "sdk.base",
        "ContextRefused": "sdk.errors",
        "FileKey": "sdk.context_fields",
        "FileStore": "sdk.files",
        "FrameChunk": "tables.frames.source_reader",
        "FrameExport": "tables.frames.frame_export",
        "FrameImport": "tables.frames.frame_import",
        "FrameUpdate": "tables.frames.frame_update",
        "JobRefused": "sdk.errors",
        "JobResult": "sdk.result",
        "JobRun": "sdk.job",
        "KeepChanges": "sdk.context_fields",
        "Partition": "sdk.partition",
        "Query": "sdk.context_fields",
        "TableName": "sdk.context_fields",
        "load_strategies": "sdk.registry",
        "make_engine": "sdk.database",
        "run_strategy": "sdk.testing",
        "upsert": "tables.frames.upserting",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value


__all__ = [
    "BatchJobError",
    "BatchJobStrategy",
    "ContextRefused",
    "FileKey",
    "FileStore",
    "FrameChunk",
    "FrameExport",
    "FrameImport",
    "FrameUpdate",
    "JobRefused",
    "JobResult",
    "JobRun",
    "KeepChanges",
    "Partition",
    "Query",
    "TableName",
    "load_strategies",
    "make_engine",
    "run_strategy",
    "upsert",
]
