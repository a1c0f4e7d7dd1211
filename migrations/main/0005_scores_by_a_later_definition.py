"""A later run of a score says by which definition it was made."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scores", sa.Column("definition_version", sa.Text(), nullable=True))
    op.add_column("scores", sa.Column("definition_digest", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("scores", "definition_digest")
    op.drop_column("scores", "definition_version")
