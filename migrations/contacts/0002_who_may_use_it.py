"""On PostgreSQL the application's role may use the contact store, and owns nothing of it."""

from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.contacts TO {role}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
