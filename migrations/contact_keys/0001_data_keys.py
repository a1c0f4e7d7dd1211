"""A data key for each person of the contact store, wrapped by a key-encryption key that no database holds."""

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kek_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "owner", name=op.f("pk_data_keys")),
    )
    op.create_index(op.f("ix_data_keys_kek_id"), "data_keys", ["kek_id"], unique=False)
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    quote = connection.dialect.identifier_preparer.quote_identifier
    role = quote(context.config.attributes["role"])
    schema = quote(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
    op.execute(
        f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.data_keys TO {role}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
