"""What set an anchor: an answer, a correction of one, or (blank) somebody. Until now the words of the reason said it.

Safe before deploy: adds a column that may be blank. The rows are records that triggers keep from being changed; they
stand aside while the new column is filled, and nothing else of a row is touched.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

GUARD = "anchors_refuse_update"


def upgrade() -> None:
    op.add_column("anchors", sa.Column("set_through", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _fill_on_sqlite()
    else:
        _fill_on_postgresql()


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _fill_on_sqlite() -> None:
    named = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    guard = op.get_bind().scalar(named, {"name": GUARD})
    op.execute(f"DROP TRIGGER {GUARD}")
    _fill()
    op.get_bind().exec_driver_sql(guard)


def _fill_on_postgresql() -> None:
    op.execute("SELECT set_config('epro.reach', 'all', true)")
    op.execute("ALTER TABLE anchors DISABLE TRIGGER anchors_refuse")
    _fill()
    op.execute("ALTER TABLE anchors ENABLE TRIGGER anchors_refuse")


def _fill() -> None:
    op.execute("UPDATE anchors SET set_through = 'answer' WHERE reason LIKE 'first answer of %'")
    op.execute(
        "UPDATE anchors SET set_through = 'correction' WHERE reason = 'the answer that set it was corrected'"
    )
