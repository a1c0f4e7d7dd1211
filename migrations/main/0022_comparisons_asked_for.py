"""Comparisons of the trial database that somebody asks for."""

import sqlalchemy as sa
from alembic import context, op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

CHANGEABLE = ("comparisons",)


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entries", sa.BigInteger(), nullable=True),
        sa.Column("differences", sa.Integer(), nullable=True),
        sa.Column("named", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_comparisons_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
    )
    if op.get_bind().dialect.name != "sqlite":
        name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON comparisons TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
