"""Which texts a provider of SMS may keep still, by its own ids."""

import sqlalchemy as sa
from alembic import context, op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

REMOVABLE = ("texts_at_providers",)


def upgrade() -> None:
    op.create_table(
        "texts_at_providers",
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_texts_at_providers")),
    )
    op.create_index("ix_texts_at_providers_taken_at", "texts_at_providers", ["taken_at"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT set_config('epro.reach', 'all', true)")
    # What was taken before: its text is as old, and is asked for the same.
    op.execute(
        "INSERT INTO texts_at_providers (provider_id, taken_at) SELECT provider_id, min(accepted_at) FROM messages"
        " WHERE length(provider_id) = 34 AND substr(provider_id, 1, 2) IN ('SM', 'MM')"
        " AND accepted_at IS NOT NULL GROUP BY provider_id"
    )
    if op.get_bind().dialect.name == "postgresql":
        name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
        for table in REMOVABLE:
            op.execute(f"GRANT SELECT, INSERT, DELETE ON {table} TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
