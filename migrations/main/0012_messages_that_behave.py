"""Reminders can be put off, opened messages are noted, texts are counted by number, and a provider's outage is known
to every worker.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

APPEND_ONLY = OF_PARTICIPANT = ("snoozes",)
REMOVABLE = ("sent_texts",)
CHANGEABLE = ("circuits", *REMOVABLE)

REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'participant'"
    " AND snoozes.study_id = NULLIF(current_setting('epro.study', true), '')"
    " AND snoozes.subject_id = NULLIF(current_setting('epro.subject', true), ''))"
    " OR (current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = snoozes.study_id AND p.subject_id = snoozes.subject_id"
    " AND ((p.study_id || '/' || p.site_id) = ANY({sites}) OR (p.study_id || '/*') = ANY({sites}))))"
).format(sites="string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')")


def upgrade() -> None:
    op.add_column("messages", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("occurrences", sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True))
    _snoozes()
    _texts_and_circuits()
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    _refuse_on_postgresql()
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON snoozes TO {name}")
    for table in CHANGEABLE:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {name}")
    for table in REMOVABLE:
        op.execute(f"GRANT DELETE ON {table} TO {name}")
    op.execute("ALTER TABLE snoozes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE snoozes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON snoozes USING ({REACH}) WITH CHECK ({REACH})")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _snoozes() -> None:
    op.create_table(
        "snoozes",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("occurrence_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "subject_id"],
            ["participants.study_id", "participants.subject_id"],
            name=op.f("fk_snoozes_study_id_subject_id"),
        ),
        sa.ForeignKeyConstraint(
            ["study_id", "occurrence_id"],
            ["occurrences.study_id", "occurrences.id"],
            name=op.f("fk_snoozes_study_id_occurrence_id"),
        ),
        sa.PrimaryKeyConstraint("study_id", "id", name=op.f("pk_snoozes")),
    )
    op.create_index("ix_snoozes_occurrence", "snoozes", ["study_id", "occurrence_id"], unique=False)


def _texts_and_circuits() -> None:
    op.create_table(
        "sent_texts",
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", "message_id", name=op.f("pk_sent_texts")),
    )
    op.create_index("ix_sent_texts_at", "sent_texts", ["at"], unique=False)
    op.create_table(
        "circuits",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("strikes", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pauses", sa.Integer(), nullable=False),
        sa.Column("probing_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("channel", "provider", name=op.f("pk_circuits")),
    )


def _refuse_on_sqlite() -> None:
    refusal = "BEGIN SELECT RAISE(ABORT, 'snoozes is append-only'); END"
    for act in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER snoozes_refuse_{act.lower()} BEFORE {act} ON snoozes {refusal}")
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    op.execute(
        "CREATE TRIGGER snoozes_refuse_replace BEFORE INSERT ON snoozes WHEN EXISTS"
        f" (SELECT 1 FROM snoozes t WHERE t.study_id = NEW.study_id AND t.id = NEW.id) {refusal}"
    )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE TRIGGER snoozes_refuse BEFORE UPDATE OR DELETE ON snoozes"
        " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER snoozes_refuse_truncate BEFORE TRUNCATE ON snoozes"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )
