"""Alembic's entry: runs the migrations on the connection `schema.migrate` hands in."""

from __future__ import annotations

from alembic import context

from modelport.stores.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False
)
context.run_migrations()
