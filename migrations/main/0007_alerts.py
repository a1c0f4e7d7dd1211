"""Alerts followed to their end: every step is a record, which no one can rewrite."""

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

APPEND_ONLY = ("alert_steps",)
OF_PARTICIPANT = ("alert_steps",)

REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'participant'"
    " AND alert_steps.study_id = NULLIF(current_setting('epro.study', true), '')"
    " AND alert_steps.subject_id = NULLIF(current_setting('epro.subject', true), ''))"
    " OR (current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = alert_steps.study_id AND p.subject_id = alert_steps.subject_id"
    " AND ((p.study_id || '/' || p.site_id) = ANY({sites}) OR (p.study_id || '/*') = ANY({sites}))))"
).format(sites="string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')")

# What the rows of before say, as steps: the miss itself, who took it, what came of it, the answer that came late.
BEFORE = (
    ("joined", "raised_at", "'system:clockwork'", "NULL", "NULL", "kind = 'missed'"),
    (
        "taken",
        "acknowledged_at",
        "acknowledged_by",
        "NULL",
        "acknowledged_note",
        "acknowledged_at IS NOT NULL",
    ),
    ("resolved", "resolved_at", "resolved_by", "outcome", "resolved_note", "resolved_at IS NOT NULL"),
    (
        "cleared_one",
        "cleared_at",
        "'system:clockwork'",
        "NULL",
        "NULL",
        "kind = 'missed' AND cleared_at IS NOT NULL",
    ),
)


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _carry_over()
        _refuse_on_sqlite()
        return
    op.execute("SELECT set_config('epro.reach', 'all', true)")
    _carry_over()
    _refuse_on_postgresql()
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON alert_steps TO {name}")
    op.execute("ALTER TABLE alert_steps ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE alert_steps FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON alert_steps USING ({REACH}) WITH CHECK ({REACH})")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _tables() -> None:
    for name in ("standing_since", "due_at", "urgent_at"):
        op.add_column("alerts", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("alerts", sa.Column("owner", sa.Text(), nullable=True))
    for name in ("misses", "reopenings", "ladder"):
        op.add_column("alerts", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    standing = sa.text("standing_since IS NOT NULL")
    op.create_index(
        "ix_alerts_standing",
        "alerts",
        ["study_id", "subject_id"],
        unique=False,
        postgresql_where=standing,
        sqlite_where=standing,
    )
    op.create_table(
        "alert_steps",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("to_staff", sa.Uuid(), nullable=True),
        sa.Column("occurrence_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id", "subject_id"],
            ["participants.study_id", "participants.subject_id"],
            name=op.f("fk_alert_steps_study_id_subject_id"),
        ),
        sa.ForeignKeyConstraint(
            ["study_id", "alert_id"],
            ["alerts.study_id", "alerts.id"],
            name=op.f("fk_alert_steps_study_id_alert_id"),
        ),
        sa.PrimaryKeyConstraint("study_id", "alert_id", "seq", name=op.f("pk_alert_steps")),
    )
    op.create_index("ix_alert_steps_occurrence", "alert_steps", ["study_id", "occurrence_id"], unique=False)


def _carry_over() -> None:
    op.execute(
        "UPDATE alerts SET owner = acknowledged_by, ladder = escalations,"
        " standing_since = CASE WHEN resolved_at IS NULL AND cleared_at IS NULL THEN raised_at END,"
        " misses = CASE WHEN kind = 'missed' AND cleared_at IS NULL THEN 1 ELSE 0 END"
    )
    for seq, (kind, at, by, outcome, note, holds) in enumerate(BEFORE, 1):
        occurrence = "occurrence_id" if kind in ("joined", "cleared_one") else "NULL"
        op.execute(
            "INSERT INTO alert_steps"
            ' (study_id, alert_id, seq, subject_id, kind, at, "by", outcome, note, occurrence_id)'
            f" SELECT study_id, id, {seq}, subject_id, '{kind}', {at}, {by}, {outcome}, {note}, {occurrence}"
            f" FROM alerts WHERE {holds}"
        )


def _refuse_on_sqlite() -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER alert_steps_refuse_{act.lower()} BEFORE {act} ON alert_steps"
            " BEGIN SELECT RAISE(ABORT, 'alert_steps is append-only'); END"
        )
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    op.execute(
        "CREATE TRIGGER alert_steps_refuse_replace BEFORE INSERT ON alert_steps"
        " WHEN EXISTS (SELECT 1 FROM alert_steps t WHERE t.study_id = NEW.study_id"
        " AND t.alert_id = NEW.alert_id AND t.seq = NEW.seq)"
        " BEGIN SELECT RAISE(ABORT, 'alert_steps is append-only'); END"
    )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE TRIGGER alert_steps_refuse BEFORE UPDATE OR DELETE ON alert_steps"
        " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER alert_steps_refuse_truncate BEFORE TRUNCATE ON alert_steps"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )
