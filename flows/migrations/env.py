"""Run by Alembic: migrates over the connection that ``batch_jobs.flows.database`` opens."""

from alembic import context

from batch_jobs.flows.jobs import indexes  # noqa: F401  # its import adds the partial indexes to the metadata
from batch_jobs.flows.jobs.table import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
