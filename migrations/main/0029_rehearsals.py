"""Reports of rehearsals that are kept, for ever, beside the study that was rehearsed."""

import sqlalchemy as sa
from alembic import context, op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

TABLE = "rehearsals"
APPEND_ONLY = (TABLE,)


def upgrade() -> None:
    texts = ("version", "protocol_digest", "kept_by")
    op.create_table(
        TABLE,
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("participants", "days", "broken")),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("figures", sa.LargeBinary(), nullable=False),
        sa.Column("page", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_rehearsals_study_id")),
        sa.PrimaryKeyConstraint("study_id", "digest", name=op.f("pk_rehearsals")),
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
        f"CREATE TRIGGER {TABLE}_refuse_replace BEFORE INSERT ON {TABLE} WHEN EXISTS"
        f" (SELECT 1 FROM {TABLE} t WHERE t.study_id = NEW.study_id AND t.digest = NEW.digest) {refusal}"
    )
