"""What somebody had typed waits, sealed, while she shows once more who she is."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("kept_form", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("kept_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
