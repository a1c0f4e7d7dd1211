"""Cuts of the feed, exports that were asked for, and the feed in the order of participants."""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

APPEND_ONLY = ("cuts",)
CHANGEABLE = ("export_jobs",)


def upgrade() -> None:
    op.create_index("ix_feed_entries_of_subject", "feed_entries", ["study_id", "subject_id", "position"])
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    op.execute(
        "CREATE TRIGGER cuts_refuse BEFORE UPDATE OR DELETE ON cuts FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER cuts_refuse_truncate BEFORE TRUNCATE ON cuts"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )
    role = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON cuts, export_jobs TO {role}")
    op.execute(f"GRANT UPDATE ON export_jobs TO {role}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _tables() -> None:
    op.create_table(
        "cuts",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_cuts_study_id")),
        sa.PrimaryKeyConstraint("study_id", "name", name=op.f("pk_cuts")),
    )
    op.create_table(
        "export_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("made", sa.Text(), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_export_jobs_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_jobs")),
    )
    waiting = sa.text("finished_at IS NULL AND failed_at IS NULL")
    op.create_index(
        "ix_export_jobs_open", "export_jobs", ["asked_at"], postgresql_where=waiting, sqlite_where=waiting
    )


def _refuse_on_sqlite() -> None:
    refusal = "BEGIN SELECT RAISE(ABORT, 'cuts is append-only'); END"
    for act in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER cuts_refuse_{act.lower()} BEFORE {act} ON cuts {refusal}")
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    op.execute(
        "CREATE TRIGGER cuts_refuse_replace BEFORE INSERT ON cuts WHEN EXISTS (SELECT 1 FROM cuts t"
        f" WHERE t.study_id = NEW.study_id AND t.name = NEW.name) {refusal}"
    )
