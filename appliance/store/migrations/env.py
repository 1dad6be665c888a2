"""Alembic's entry: the store hands over its own open connection, so one process has one connection."""

from alembic import context

from appliance.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
