"""Wording packs and their approvals: records like any other, which no one can rewrite."""

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = ("instrument_code", "instrument_version", "language", "wording_version")
KEYS = {  # by what a row of a record is the same as another
    "wording_packs": (KEY,),
    "wording_approvals": ((*KEY, "approved_by"),),
}
APPEND_ONLY = tuple(KEYS)


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    _refuse_on_postgresql()
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    for table in APPEND_ONLY:
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _tables() -> None:
    op.create_table(
        "wording_packs",
        *(sa.Column(name, sa.Text(), nullable=False) for name in KEY),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("licence_holder", sa.Text(), nullable=False),
        sa.Column("licence_reference", sa.Text(), nullable=False),
        sa.Column("translation_certificate", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_wording_packs")),
    )
    op.create_table(
        "wording_approvals",
        *(sa.Column(name, sa.Text(), nullable=False) for name in KEY),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            list(KEY),
            [f"wording_packs.{name}" for name in KEY],
            name=op.f("fk_wording_approvals_pack"),
        ),
        sa.PrimaryKeyConstraint(*KEY, "approved_by", name=op.f("pk_wording_approvals")),
    )


def _refuse_on_sqlite() -> None:
    for table, keys in KEYS.items():
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{act.lower()} BEFORE {act} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE removes the row in its way without asking the triggers above.
        same = " OR ".join("(" + " AND ".join(f"t.{c} = NEW.{c}" for c in key) + ")" for key in keys)
        op.execute(
            f"CREATE TRIGGER {table}_refuse_replace BEFORE INSERT ON {table}"
            f" WHEN EXISTS (SELECT 1 FROM {table} t WHERE {same})"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _refuse_on_postgresql() -> None:
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
        )
