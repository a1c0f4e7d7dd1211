"""Machines that sign for their tokens: public keys with a machine key, and what each signed request has spent."""

import sqlalchemy as sa
from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

REMOVABLE = ("spent_assertions",)


def upgrade() -> None:
    op.add_column("machine_keys", sa.Column("jwks", sa.Text(), nullable=True))
    op.create_table(
        "spent_assertions",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "digest", name=op.f("pk_spent_assertions")),
    )
    if op.get_bind().dialect.name == "postgresql":
        name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
        op.execute(f"GRANT SELECT, INSERT, DELETE ON spent_assertions TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
