"""From which networks a machine key may come, when it last came from elsewhere, and whether its end was told."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("machine_keys", sa.Column("sources", sa.Text(), nullable=True))
    op.add_column("machine_keys", sa.Column("elsewhere_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("machine_keys", sa.Column("reminded", sa.Integer(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
