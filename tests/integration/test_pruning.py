"""S48: what ended long ago goes with its files; what has not ended never does."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update
from ulid import ULID

from batch_jobs.flows.database import upgrade
from batch_jobs.flows.errors import JobUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.pruning import Pruning
from batch_jobs.flows.jobs.store import JobFilter, JobStore
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import ENDED, Status
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.partition import Partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from support.jobs import job_in

LONG_AGO = datetime.now(UTC) - timedelta(days=100)


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "files"))


def put(files: FileStore, key: str) -> str:
    with files.writing(key) as stream:
        stream.write(b"x")
    return key


def old(target: Engine, store: JobStore, files: FileStore, status: Status, upload: str | None = None) -> Job:
    job = job_in(store, status)
    CheckpointStore(target, job.id, token=1).take()
    partitions = PartitionTable(target, job.id, claim=1)
    partitions.make()
    with target.begin() as connection:
        partitions.plan(connection, [Partition("all")])
    put(files, f"jobs/{job.id}/result.csv")
    context = {"source": {"files": [upload]}} if upload else {}
    with target.begin() as connection:
        connection.execute(
            update(batch_job).where(batch_job.c.id == job.id).values(updated_at=LONG_AGO, context=context)
        )
    return job


def test_S48_only_jobs_that_ended_are_pruned_and_their_files_with_them(target: Engine, files: FileStore):
    upgrade(target)
    store, pruning = JobStore(target), Pruning(target, target, files)
    jobs = {status: old(target, store, files, status) for status in Status}
    recent = job_in(store, Status.COMPLETED)

    done = pruning.run(timedelta(days=90))

    assert (done.jobs, done.files) == (len(ENDED), len(ENDED))
    left = {job.id for job in store.newest(JobFilter(), limit=100)}
    assert left == {job.id for status, job in jobs.items() if status not in ENDED} | {recent.id}
    for status, job in jobs.items():
        assert files.exists(f"jobs/{job.id}/result.csv") is (status not in ENDED)
        if status in ENDED:
            with pytest.raises(JobUnknown):
                store.get(job.id)
    with target.connect() as connection:
        kept = set(connection.scalars(text("SELECT job_id FROM batch_job_checkpoint")))
        cut = set(connection.scalars(text("SELECT job_id FROM batch_job_partition")))
    assert kept == cut == {job.id for status, job in jobs.items() if status not in ENDED}
    assert str(pruning.run(timedelta(days=90))) == "0 jobs and 0 files were removed"


def test_old_uploads_go_once_no_job_names_them(target: Engine, files: FileStore):
    upgrade(target)
    store = JobStore(target)
    long_ago = ULID.from_datetime(LONG_AGO)
    named, unnamed, foreign = (
        put(files, key)
        for key in (
            f"uploads/{long_ago}/a.csv",
            f"uploads/{ULID.from_datetime(LONG_AGO)}/b.csv",
            "uploads/by-hand/c.csv",
        )
    )
    fresh = files.put(io.BytesIO(b"x"), "d.csv")
    old(target, store, files, Status.PROCESSING, upload=named)

    assert Pruning(target, target, files).run(timedelta(days=90)).files == 1

    assert [files.exists(key) for key in (named, unnamed, foreign, fresh)] == [True, False, True, True]


def test_a_pruning_that_broke_off_goes_on(target: Engine, files: FileStore, monkeypatch: pytest.MonkeyPatch):
    upgrade(target)
    store, pruning = JobStore(target), Pruning(target, target, files)
    job = old(target, store, files, Status.FAILED)
    monkeypatch.setattr(files, "remove", lambda key: (_ for _ in ()).throw(OSError("the disk is away")))
    with pytest.raises(OSError, match="the disk is away"):
        pruning.run(timedelta(days=90))
    assert files.exists(f"jobs/{job.id}/result.csv")
    monkeypatch.undo()
    assert pruning.run(timedelta(days=90)).jobs == 1
    assert not files.exists(f"jobs/{job.id}/result.csv")
