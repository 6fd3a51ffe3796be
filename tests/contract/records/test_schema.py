"""Migrations end where the tables are declared, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from fakes.house import HandClock
from modelport.domain.errors import Conflict
from modelport.stores.records.records import Records
from modelport.stores.records.schema import MIGRATIONS, NEWEST
from modelport.stores.records.tables import metadata


def test_migrations_make_the_declared_tables(records: Records) -> None:
    with records.transaction() as tx:
        found = compare_metadata(MigrationContext.configure(tx.connection), metadata)
    assert found == []


def test_newest_is_the_newest() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == NEWEST


def test_database_of_a_newer_release_is_left_alone(database_url: str) -> None:
    first = Records(database_url, HandClock())
    with first.transaction() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    first.close()
    with pytest.raises(Conflict, match="'9999'"):
        Records(database_url, HandClock())


@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_second_control_process_on_one_postgresql_is_refused(records: Records, database_url: str) -> None:
    with pytest.raises(Conflict, match="another modelport control process"):
        Records(database_url, HandClock())
