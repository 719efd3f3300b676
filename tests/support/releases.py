"""Another release of the program: its code in a folder of its own, with a migration that this one does not know."""

import shutil
from pathlib import Path

from batch_jobs.flows.database import HEAD
from support.command_line import ROOT

NEXT = f"{int(HEAD) + 1:04d}"
MIGRATION = f'''"""What a later release may add."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch_job", sa.Column("later", sa.String(16), nullable=False, server_default="new"))
'''


def copy_release(folder: Path) -> Path:
    """This release in a folder that ``PYTHONPATH`` may name."""
    package = folder / "batch_jobs"
    for room in ("strategies", "flows", "deployments"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("__init__.py", "py.typed"):
        shutil.copy(ROOT / "deployments" / "package" / file, package)
    return folder


def make_later(folder: Path) -> None:
    """Make a copy of this release the one after it."""
    flows = folder / "batch_jobs" / "flows"
    (flows / "migrations" / "versions" / f"{NEXT}_later.py").write_text(MIGRATION)
    database = flows / "database.py"
    code = database.read_text()
    assert f'HEAD = "{HEAD}"' in code
    database.write_text(code.replace(f'HEAD = "{HEAD}"', f'HEAD = "{NEXT}"'))
