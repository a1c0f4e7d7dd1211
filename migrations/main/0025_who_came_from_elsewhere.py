"""By which identity of a provider elsewhere a session was opened."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("identity_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
