"""An occurrence knows why it is excused and by whom, when an excuse was taken back, and whether that was too late."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("occurrences", sa.Column("excused_reason", sa.Text(), nullable=True))
    op.add_column("occurrences", sa.Column("excused_by", sa.Text(), nullable=True))
    op.add_column("occurrences", sa.Column("unexcused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "occurrences", sa.Column("closed_excused", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
