"""Bulk exports that machines ask for in FHIR."""

import sqlalchemy as sa
from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CHANGEABLE = ("bulk_exports",)


def upgrade() -> None:
    op.create_table(
        "bulk_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_bulk_exports_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_exports")),
    )
    if op.get_bind().dialect.name == "postgresql":
        name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON bulk_exports TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
