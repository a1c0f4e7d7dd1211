"""That somebody's contact data were erased, and by what link her calendar is fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("participants", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("participants", sa.Column("calendar_hash", sa.String(length=64), nullable=True))
    op.create_index("ix_participants_calendar_hash", "participants", ["calendar_hash"], unique=True)


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
