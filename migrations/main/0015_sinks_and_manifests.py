"""Sinks with the position each has come to, entries parked for one, daily manifests, what reconciling found."""

import sqlalchemy as sa
from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

APPEND_ONLY = ("manifests", "reconciliations")
CHANGEABLE = ("sinks", "parked_entries")
REMOVABLE = ("parked_entries",)


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {name}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON sinks TO {name}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON parked_entries TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _instant(name: str, *, blank: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=blank)


def _of_study(table: str, *key: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f(f"fk_{table}_study_id")),
        sa.PrimaryKeyConstraint("study_id", *key, name=op.f(f"pk_{table}")),
    ]


def _tables() -> None:
    op.create_table(
        "sinks",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        _instant("added_at", blank=False),
        _instant("paused_at"),
        sa.Column("paused_why", sa.Text(), nullable=True),
        _instant("removed_at"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        _instant("delivered_at"),
        sa.Column("leased_by", sa.Text(), nullable=True),
        _instant("leased_until"),
        _instant("failing_since"),
        sa.Column("failures", sa.Integer(), nullable=False),
        _instant("next_try_at"),
        sa.Column("last_fault", sa.Text(), nullable=True),
        *_of_study("sinks", "name"),
    )
    op.create_table(
        "parked_entries",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("records", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("parked_at", blank=False),
        _instant("next_try_at"),
        sa.PrimaryKeyConstraint("study_id", "sink", "position", name=op.f("pk_parked_entries")),
    )
    op.create_table(
        "manifests",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        _instant("made_at", blank=False),
        *_of_study("manifests", "day"),
    )
    op.create_table(
        "reconciliations",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        _instant("at", blank=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("named", sa.Text(), nullable=False),
        *_of_study("reconciliations", "day"),
    )


def _refuse_on_sqlite() -> None:
    for table in APPEND_ONLY:
        refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for act in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_refuse_{act.lower()} BEFORE {act} ON {table} {refusal}")
        # INSERT OR REPLACE removes the row in its way without asking the triggers above.
        op.execute(
            f"CREATE TRIGGER {table}_refuse_replace BEFORE INSERT ON {table}"
            f" WHEN EXISTS (SELECT 1 FROM {table} t WHERE t.study_id = NEW.study_id AND t.day = NEW.day) {refusal}"
        )
