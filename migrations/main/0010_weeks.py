"""A diary's scores by the week: records like any other; and what tells the clockwork that a week waits."""

import sqlalchemy as sa
from alembic import context, op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

APPEND_ONLY = ("week_scores",)
OF_PARTICIPANT = ("week_scores",)
KEY = ("study_id", "subject_id", "assessment_id", "week", "scale", "run")

REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'participant'"
    " AND week_scores.study_id = NULLIF(current_setting('epro.study', true), '')"
    " AND week_scores.subject_id = NULLIF(current_setting('epro.subject', true), ''))"
    " OR (current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = week_scores.study_id AND p.subject_id = week_scores.subject_id"
    " AND ((p.study_id || '/' || p.site_id) = ANY({sites}) OR (p.study_id || '/*') = ANY({sites}))))"
).format(sites="string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')")


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    _refuse_on_postgresql()
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON week_scores TO {name}")
    op.execute("ALTER TABLE week_scores ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE week_scores FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON week_scores USING ({REACH}) WITH CHECK ({REACH})")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _tables() -> None:
    op.add_column("occurrences", sa.Column("week_at", sa.DateTime(timezone=True), nullable=True))
    waits = sa.text("week_at IS NOT NULL")
    op.create_index(
        "ix_occurrences_week",
        "occurrences",
        ["week_at"],
        unique=False,
        postgresql_where=waits,
        sqlite_where=waits,
    )
    op.create_table(
        "week_scores",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("assessment_id", sa.Text(), nullable=False),
        sa.Column("week", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scale", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("first_study_day", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("protocol_version", sa.Text(), nullable=False),
        sa.Column("instrument_code", sa.Text(), nullable=False),
        sa.Column("definition_version", sa.Text(), nullable=False),
        sa.Column("definition_digest", sa.Text(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("method_version", sa.Text(), nullable=False),
        sa.Column("items_used", sa.Text(), nullable=False),
        sa.Column("items_missing", sa.Text(), nullable=False),
        sa.Column("blinded", sa.Boolean(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "subject_id"],
            ["participants.study_id", "participants.subject_id"],
            name=op.f("fk_week_scores_study_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_week_scores")),
    )


def _refuse_on_sqlite() -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER week_scores_refuse_{act.lower()} BEFORE {act} ON week_scores"
            " BEGIN SELECT RAISE(ABORT, 'week_scores is append-only'); END"
        )
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    same = " AND ".join(f"t.{name} = NEW.{name}" for name in KEY)
    op.execute(
        "CREATE TRIGGER week_scores_refuse_replace BEFORE INSERT ON week_scores"
        f" WHEN EXISTS (SELECT 1 FROM week_scores t WHERE {same})"
        " BEGIN SELECT RAISE(ABORT, 'week_scores is append-only'); END"
    )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE TRIGGER week_scores_refuse BEFORE UPDATE OR DELETE ON week_scores"
        " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER week_scores_refuse_truncate BEFORE TRUNCATE ON week_scores"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )
