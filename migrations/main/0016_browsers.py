"""Sessions of browsers: found by the digest of their cookie, ended when they are left alone."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("cookie_hash", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_sessions_cookie_hash"), "sessions", ["cookie_hash"], unique=True)


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
