"""A session keeps with what its owner has shown once more who she is."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("proved_with", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
