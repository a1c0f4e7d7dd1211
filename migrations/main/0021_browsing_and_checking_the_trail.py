"""The trail is browsed by person and by act, and what each check of it found is kept."""

import sqlalchemy as sa
from alembic import context, op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLE = "trail_checks"
APPEND_ONLY = (TABLE,)


def upgrade() -> None:
    op.create_index("ix_events_actor", "events", ["study_id", "actor", "at"])
    op.create_index("ix_events_action", "events", ["study_id", "action", "at"])
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("leaves", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("named", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trail_checks")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    for kind, when in (("", "UPDATE OR DELETE"), ("_truncate", "TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER {TABLE}_refuse{kind} BEFORE {when} ON {TABLE}"
            f" FOR EACH {'STATEMENT' if kind else 'ROW'} EXECUTE FUNCTION epro_refuse()"
        )
    op.execute(f"GRANT SELECT, INSERT ON {TABLE} TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _refuse_on_sqlite() -> None:
    refusal = f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
    for act in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {TABLE}_refuse_{act.lower()} BEFORE {act} ON {TABLE} {refusal}")
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    op.execute(
        f"CREATE TRIGGER {TABLE}_refuse_replace BEFORE INSERT ON {TABLE}"
        f" WHEN EXISTS (SELECT 1 FROM {TABLE} t WHERE t.id = NEW.id) {refusal}"
    )
