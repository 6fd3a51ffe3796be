"""Bringing a database to this release's tables, by the migrations inside the package."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from modelport.domain.errors import Conflict

NEWEST = "0005"
"""The newest file in `migrations/versions`; a test compares. A start whose database has it skips Alembic."""

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Apply the migrations a database lacks; nothing happens when it lacks none.

    Args:
        connection: Of a writing engine, without an open transaction.

    Raises:
        Conflict: The database was written by a newer release.
    """
    with connection.begin():
        found = _version(connection)
    if found == NEWEST:
        return
    from alembic import command  # here, because it costs 0.2 s that most starts need not spend
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if found is not None and found not in {
        item.revision for item in ScriptDirectory.from_config(config).walk_revisions()
    }:
        raise Conflict(
            f"the records have schema {found!r}, this release knows up to {NEWEST!r}",
            hint="start the newer release that wrote them, or restore a backup made by this one",
        )
    with connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
