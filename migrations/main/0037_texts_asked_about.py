"""When a provider was last asked to forget a text, so that those it keeps are not asked first every time.

Safe before deploy: adds a column that may be blank, and the right to change this table's rows.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

CHANGEABLE = ("texts_at_providers",)


def upgrade() -> None:
    op.add_column("texts_at_providers", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
        for table in CHANGEABLE:
            op.execute(f"GRANT UPDATE ON {table} TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
