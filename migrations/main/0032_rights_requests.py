"""What people ask about data on them, and that data of somebody are held still."""

import sqlalchemy as sa
from alembic import context, op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

CHANGEABLE = OF_PARTICIPANT = ("rights_requests",)
SITES = "string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')"
REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'participant'"
    " AND rights_requests.study_id = NULLIF(current_setting('epro.study', true), '')"
    " AND rights_requests.subject_id = NULLIF(current_setting('epro.subject', true), ''))"
    " OR (current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = rights_requests.study_id AND p.subject_id = rights_requests.subject_id"
    f" AND ((p.study_id || '/' || p.site_id) = ANY({SITES}) OR (p.study_id || '/*') = ANY({SITES}))))"
)


def upgrade() -> None:
    op.add_column("participants", sa.Column("restricted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "rights_requests",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("asked_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("noted_by", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id", "subject_id"],
            ["participants.study_id", "participants.subject_id"],
            name=op.f("fk_rights_requests_study_id_subject_id"),
        ),
        sa.PrimaryKeyConstraint("study_id", "id", name=op.f("pk_rights_requests")),
    )
    op.create_index("ix_rights_requests_due", "rights_requests", ["study_id", "due_on"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        return
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON rights_requests TO {name}")
    op.execute("ALTER TABLE rights_requests ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE rights_requests FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON rights_requests USING ({REACH}) WITH CHECK ({REACH})")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")
