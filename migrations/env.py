"""How Alembic runs: one connection and one history, handed over by `epro.schema`."""

from alembic import context

from epro import db, schema

config = context.config
history = config.attributes["history"]
schema.load_models()
METADATA = {
    "main": db.Base.metadata,
    "contacts": db.ContactsBase.metadata,
    "contact_keys": db.KeysBase.metadata,
}


def render_item(kind, thing, autogen_context):
    """Migrations name plain types: they must still run when our own types have moved on."""
    if isinstance(thing, db.Instant):
        return "sa.DateTime(timezone=True)"
    if isinstance(thing, db.Json):
        return "sa.Text()"
    return False


def run() -> None:
    connection = config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=METADATA[history],
        version_table=f"schema_{history}",
        render_item=render_item,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
