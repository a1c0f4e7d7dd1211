"""Arms, and which version of the protocol is in force at which site since when: a record no one can rewrite."""

import sqlalchemy as sa
from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = ("study_id", "site_id", "version")
KEYS = {"site_versions": (KEY,)}  # by what a row of a record is the same as another
APPEND_ONLY = tuple(KEYS)


def upgrade() -> None:
    op.add_column("participants", sa.Column("arm", sa.Text(), nullable=True))
    op.create_table(
        "site_versions",
        *(sa.Column(name, sa.Text(), nullable=False) for name in KEY),
        sa.Column("approved_on", sa.Date(), nullable=False),
        sa.Column("in_force_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "site_id"], ["sites.study_id", "sites.id"], name=op.f("fk_site_versions_site")
        ),
        sa.ForeignKeyConstraint(
            ["study_id", "version"],
            ["published_protocols.study_id", "published_protocols.version"],
            name=op.f("fk_site_versions_protocol"),
        ),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_site_versions")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    _refuse_on_postgresql()
    role = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON site_versions TO {role}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _refuse_on_sqlite() -> None:
    refusal = "BEGIN SELECT RAISE(ABORT, 'site_versions is append-only'); END"
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER site_versions_refuse_{act.lower()} BEFORE {act} ON site_versions {refusal}"
        )
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    same = " AND ".join(f"t.{column} = NEW.{column}" for column in KEY)
    op.execute(
        "CREATE TRIGGER site_versions_refuse_replace BEFORE INSERT ON site_versions"
        f" WHEN EXISTS (SELECT 1 FROM site_versions t WHERE {same}) {refusal}"
    )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE TRIGGER site_versions_refuse BEFORE UPDATE OR DELETE ON site_versions"
        " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER site_versions_refuse_truncate BEFORE TRUNCATE ON site_versions"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )
