"""What closes next, of what waits for an answer, is found by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

WAITS = sa.text("attention_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_occurrences_closing", "occurrences", ["closes_at"], postgresql_where=WAITS, sqlite_where=WAITS
    )


def downgrade() -> None:
    op.drop_index("ix_occurrences_closing", "occurrences")
