"""The job database: made, migrated, checked."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from batch_jobs.flows import database
from batch_jobs.flows.errors import DatabaseAhead, DatabaseBehind, DatabaseUnreachable
from batch_jobs.flows.jobs import indexes, table  # noqa: F401  # the indexes are added to the metadata
from batch_jobs.strategies.sdk.database import make_engine


def test_the_revision_of_the_program_is_the_newest_migration():
    assert ScriptDirectory(str(database.MIGRATIONS)).get_current_head() == database.HEAD


def test_the_migrations_make_the_tables_of_the_code(target: Engine):
    database.upgrade(target)
    with target.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": database.VERSION_TABLE})
        assert compare_metadata(context, table.metadata) == []


def test_an_empty_database_gets_its_tables_and_a_second_time_nothing_happens(target: Engine):
    database.ensure_current(target)
    database.ensure_current(target)
    assert database.current_revision(target) == database.HEAD


def test_an_older_database_server_is_left_to_its_owner(postgres_url: str):
    engine = make_engine(postgres_url)
    database.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {database.VERSION_TABLE} SET version_num = '0000'"))
    with pytest.raises(DatabaseBehind, match=r"at revision 0000 .* run `batch-jobs db upgrade`"):
        database.ensure_current(engine)


def test_a_database_that_a_newer_release_has_upgraded_is_left_as_it_is(target: Engine):
    database.upgrade(target)
    with target.begin() as connection:
        connection.execute(text(f"UPDATE {database.VERSION_TABLE} SET version_num = '9999'"))
    for touch in (database.ensure_current, database.require_current, database.upgrade):
        with pytest.raises(DatabaseAhead, match=r"at revision 9999 .* use that release here"):
            touch(target)
    assert database.current_revision(target) == "9999"


def test_a_database_that_does_not_answer_is_one_line():
    engine = make_engine("postgresql://nobody:secret@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnreachable) as caught:
        database.ensure_current(engine)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_made(tmp_path: Path):
    database.ensure_current(make_engine(f"sqlite:///{tmp_path}/a/b/jobs.db"))
    assert (tmp_path / "a/b/jobs.db").exists()
