"""Uploads that go on where they were cut off, and by which header a job read its file."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add two tables, and a column that the release before leaves empty."""
    op.create_table(
        "batch_job_unfinished_upload",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.UniqueConstraint("owner", "name", "size", "fingerprint", name="uq_batch_job_unfinished_upload_file"),
    )
    op.create_table(
        "batch_job_upload_part",
        sa.Column(
            "upload_id",
            sa.String(26),
            sa.ForeignKey("batch_job_unfinished_upload.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("begins_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.String(255), nullable=False),
    )
    op.add_column("batch_job", sa.Column("header", sa.String(64)))
    with_header = sa.text("header IS NOT NULL")
    op.create_index(
        "ix_batch_job_header",
        "batch_job",
        ["header", "type", "created_by", "id"],
        sqlite_where=with_header,
        postgresql_where=with_header,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_batch_job_header", "batch_job")
    op.drop_column("batch_job", "header")
    op.drop_table("batch_job_upload_part")
    op.drop_table("batch_job_unfinished_upload")
