"""Run by Alembic: migrates over the connection that ``flows.database`` opens."""

from alembic import context

from flows import api_tables  # noqa: F401  # its import adds these tables to the metadata
from flows.job_table import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
