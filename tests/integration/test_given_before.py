"""What was given for a file with the same header is proposed for the next one, to whoever gave it."""

import io
from typing import Any

import pytest
from sqlalchemy import Engine, update

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.samples import Samples
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.registry import load_strategies
from batch_jobs.strategies.sdk.sample import FileColumn, FileSample
from batch_jobs.strategies.table_import import TableImport
from support.importing import Importing
from support.jobs import new_job

GIVEN = {"table": "prices", "columns": {"Preis": "price", "x": None}, "decimal": ",", "mode": "upsert", "key": ["code"]}


def sample_of(*columns: str) -> FileSample:
    return FileSample("uploads/x/next.csv", columns=[FileColumn(name, name, None, "text", "") for name in columns])


@pytest.fixture
def store(target: Engine) -> JobStore:
    upgrade(target)
    return JobStore(target)


@pytest.fixture
def samples(store: JobStore, importing: Importing) -> Samples:
    registry = load_strategies()
    access = TargetAccess(Settings(target_url=importing.target.url.render_as_string(hide_password=False)))
    return Samples(lambda: registry, lambda: importing.target, lambda: importing.files, access, lambda: store)


@pytest.fixture
def importing(target: Engine, tmp_path: Any) -> Importing:
    from batch_jobs.strategies.sdk.files import FileStore

    return Importing(target, FileStore(str(tmp_path / "files")))


def previewed(store: JobStore, importing: Importing, content: str, created_by: str, **given: Any) -> str:
    """A job of a person that has looked at its file."""
    key = importing.files.put(io.BytesIO(content.encode()), "in.csv")
    context = TableImport.Context.model_validate({"file_key": key, **given})
    values = context.model_dump(mode="json")
    job = store.insert(
        new_job(type="table-import", strategy="table-import-strategy", context=values, created_by=created_by),
        created_by,
    )
    assert job is not None
    claimed = store.claim(job, ProcessIdentity.current(), None)
    run = importing.job_of(context)
    hooks.pre_process(importing.strategy, run)
    assert store.save_result(job.id, claimed.claim or 0, run.result, run.plan)
    return job.id


def given_before(samples: Samples, *wanted: Any) -> dict[str, Any] | None:
    job = samples.job_before(*wanted)
    return None if job is None else samples.settings_of(job)


def test_the_newest_job_of_the_same_columns_type_and_person_gives_its_options(
    store: JobStore, importing: Importing, samples: Samples
):
    previewed(store, importing, 'code,Preis,x\na,"1,5",1\n', "alice", **{**GIVEN, "table": "old"})
    newest = previewed(store, importing, 'Preis,code,x\n"1,5",a,1\n', "alice", **GIVEN)
    previewed(store, importing, 'code,Preis,x\na,"1,5",1\n', "bob", **{**GIVEN, "table": "of_bob"})
    previewed(store, importing, 'code,Preis\na,"1,5"\n', "alice", table="other", columns={"Preis": "price"})

    assert given_before(samples, "table-import", "alice", sample_of("code", "Preis", "x")) == GIVEN
    assert given_before(samples, "table-import", "alice", sample_of("x", "Preis", "code")) == GIVEN
    for other in [("table-import", "carol"), ("product-import", "alice")]:
        assert given_before(samples, *other, sample_of("code", "Preis", "x")) is None
    assert given_before(samples, "table-import", "alice", sample_of("code", "Preis", "y")) is None
    with store._engine.begin() as connection:
        connection.execute(update(batch_job).where(batch_job.c.id == newest).values(deleted_at=batch_job.c.created_at))
    before = given_before(samples, "table-import", "alice", sample_of("code", "Preis", "x"))
    assert before is not None
    assert before["table"] == "old"


def test_neither_the_file_nor_a_secret_comes_along(store: JobStore, samples: Samples):
    from batch_jobs.strategies.sdk.sample import header_of

    context = {"file_key": "uploads/a/b.csv", "source": "**********", "table": "prices", "decimal": None}
    job = store.insert(new_job(type="table-import", context=context, created_by="alice"), "alice")
    assert job is not None
    claimed = store.claim(job, ProcessIdentity.current(), None)
    store.save_result(job.id, claimed.claim or 0, claimed.result, {"_header": header_of(["code"])})

    assert given_before(samples, "table-import", "alice", sample_of("code")) == {"table": "prices"}
    assert samples.secrets_of(store.get(job.id)) == ["source"]
