"""Remarks of the site about a participant: written once, seen at her site."""

import sqlalchemy as sa
from alembic import context, op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

APPEND_ONLY = OF_PARTICIPANT = ("participant_notes",)
REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = participant_notes.study_id AND p.subject_id = participant_notes.subject_id"
    " AND ((p.study_id || '/' || p.site_id) = ANY({sites}) OR (p.study_id || '/*') = ANY({sites}))))"
).format(sites="string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')")


def upgrade() -> None:
    op.create_table(
        "participant_notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "subject_id"],
            ["participants.study_id", "participants.subject_id"],
            name=op.f("fk_participant_notes_study_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participant_notes")),
    )
    op.create_index(op.f("ix_participant_notes_subject_id"), "participant_notes", ["subject_id"])
    if op.get_bind().dialect.name == "sqlite":
        refusal = "BEGIN SELECT RAISE(ABORT, 'participant_notes is append-only'); END"
        for act in ("UPDATE", "DELETE"):
            name = f"participant_notes_refuse_{act.lower()}"
            op.execute(f"CREATE TRIGGER {name} BEFORE {act} ON participant_notes {refusal}")
        op.execute(
            "CREATE TRIGGER participant_notes_refuse_replace BEFORE INSERT ON participant_notes WHEN EXISTS"
            f" (SELECT 1 FROM participant_notes t WHERE t.id = NEW.id) {refusal}"
        )
        return
    for act, when in (("refuse", "UPDATE OR DELETE"), ("refuse_truncate", "TRUNCATE")):
        each = "STATEMENT" if when == "TRUNCATE" else "ROW"
        op.execute(
            f"CREATE TRIGGER participant_notes_{act} BEFORE {when} ON participant_notes"
            f" FOR EACH {each} EXECUTE FUNCTION epro_refuse()"
        )
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON participant_notes TO {name}")
    op.execute("ALTER TABLE participant_notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE participant_notes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON participant_notes USING ({REACH}) WITH CHECK ({REACH})")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
