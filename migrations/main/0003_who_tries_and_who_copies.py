"""A copied phone is noticed, wrong sign-ins are counted where they come from, an old text message is not obeyed
twice, and a feed entry is not replaced.

Failures are counted in `rate_counts` from here on, by account and address, no longer on the account itself.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FEED_KEYS = (("no",), ("event_id",), ("study_id", "position"))


def upgrade() -> None:
    op.add_column(
        "sessions", sa.Column("successor_used", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.drop_column("staff", "failures")
    op.drop_column("staff", "locked_until")
    op.create_table(
        "heard_texts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_heard_texts")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse_replacing()
        return
    role = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    op.execute(f"GRANT SELECT, INSERT ON heard_texts TO {role}")
    _let_people_sign_what_they_did()


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _refuse_replacing() -> None:
    """INSERT OR REPLACE, and UPDATE OR REPLACE, remove the row in their way without asking its triggers."""
    same = " OR ".join("(" + " AND ".join(f"t.{c} = NEW.{c}" for c in key) + ")" for key in FEED_KEYS)
    refusal = "BEGIN SELECT RAISE(ABORT, 'feed_entries is append-only'); END"
    op.execute(
        "CREATE TRIGGER feed_entries_refuse_replace BEFORE INSERT ON feed_entries"
        f" WHEN EXISTS (SELECT 1 FROM feed_entries t WHERE {same}) {refusal}"
    )
    op.execute(
        "CREATE TRIGGER feed_entries_refuse_taking BEFORE UPDATE ON feed_entries WHEN EXISTS (SELECT 1 FROM"
        " feed_entries t WHERE t.study_id = NEW.study_id AND t.position = NEW.position AND t.no <> OLD.no)"
        f" {refusal}"
    )


def _let_people_sign_what_they_did() -> None:
    """Signing in and out belongs to no study: staff may add to the installation's chain, and read none of it."""
    op.execute(
        "CREATE POLICY own_acts ON events FOR INSERT WITH CHECK (study_id = '-' AND subject_id IS NULL"
        " AND current_setting('epro.reach', true) = 'sites')"
    )
