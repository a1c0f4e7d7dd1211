"""A machine key says what it opens: the feed, or the door where the EDC hands in dates. Safe before deploy."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("machine_keys", sa.Column("role", sa.Text(), nullable=False, server_default="machine"))


def downgrade() -> None:
    op.drop_column("machine_keys", "role")
