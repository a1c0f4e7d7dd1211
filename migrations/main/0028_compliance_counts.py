"""What came of what was due, by site, as it was counted last: a copy, written over and over."""

import sqlalchemy as sa
from alembic import context, op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

CHANGEABLE = ("compliance_counts",)
SITES = "string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')"
REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'sites'"
    f" AND ((study_id || '/' || site_id) = ANY({SITES}) OR (study_id || '/*') = ANY({SITES})))"
)


def upgrade() -> None:
    op.create_table(
        "compliance_counts",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "site_id"],
            ["sites.study_id", "sites.id"],
            name=op.f("fk_compliance_counts_study_id_site_id"),
        ),
        sa.PrimaryKeyConstraint("study_id", "site_id", name=op.f("pk_compliance_counts")),
    )
    if op.get_bind().dialect.name == "postgresql":
        role = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON compliance_counts TO {role}")
        op.execute("ALTER TABLE compliance_counts ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE compliance_counts FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY reach ON compliance_counts USING ({REACH}) WITH CHECK ({REACH})")


def downgrade() -> None:
    op.drop_table("compliance_counts")
