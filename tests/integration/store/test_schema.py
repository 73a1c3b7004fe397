"""Tables are made once, by whoever comes first, and only those that this program knows are used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from tests.support.postgres import PostgresServer
from tests.support.stored_studies import BEGAN_AT, IDENTITY, SPEC_JSON, assert_stock_optuna_agrees, stock_optuna

from tuning_operator.store import Database, DatabaseUrlError, SchemaMismatchError, StoreError, migrations, prepare, tables
from tuning_operator.store.connection import database_url
from tuning_operator.store.optuna_sql import OPTUNA_HEAD


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path: Path) -> str:
    """Each of the two databases, without tables."""
    return f"sqlite:///{tmp_path}/study.db" if request.param == "sqlite" else postgres.url(postgres.create_database())


def execute(url: str, statement: str) -> None:
    engine = sa.create_engine(database_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_six_processes_that_start_at_once_on_an_empty_database_all_find_its_tables(empty_url: str) -> None:
    script = """
import sys
from tuning_operator.store import Database, prepare
prepare(sys.argv[1])
Database.connect(sys.argv[1]).close()
"""
    processes = [subprocess.Popen([sys.executable, "-c", script, empty_url], stderr=subprocess.PIPE, text=True) for _ in range(6)]
    failures = [process.communicate()[1] for process in processes]
    assert failures == [""] * 6
    assert_stock_optuna_agrees(empty_url)


def test_preparing_a_prepared_database_changes_nothing_in_it(url: str) -> None:
    database = Database.connect(url)
    ledger = database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=BEGAN_AT)
    prepare(url)
    assert ledger.load().began_at == BEGAN_AT
    database.close()


def test_a_database_that_optuna_made_before_gets_our_tables_beside_its_own(empty_url: str) -> None:
    theirs = RDBStorage(database_url(empty_url).render_as_string(hide_password=False), engine_kwargs={"poolclass": sa.NullPool})
    theirs.create_new_study([], "somebody else's")
    theirs.remove_session()
    prepare(empty_url)
    Database.connect(empty_url).close()


def test_the_migrations_make_the_tables_that_the_program_uses(url: str) -> None:
    engine = sa.create_engine(database_url(url), poolclass=sa.NullPool)
    options = {"include_name": lambda name, kind, _parents: kind != "table" or name.startswith("tuning_")}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": tables.TUNING_VERSION_TABLE, **options})
        assert compare_metadata(context, tables.metadata) == []


def test_the_program_knows_every_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(known)) == tables.TUNING_REVISIONS


def test_our_sql_is_written_for_the_schema_of_the_installed_optuna(url: str) -> None:
    storage = stock_optuna(url)
    assert storage.get_head_version() == storage.get_current_version() == OPTUNA_HEAD


def test_a_database_without_tables_is_refused_with_the_command_that_makes_them(empty_url: str) -> None:
    with pytest.raises(SchemaMismatchError, match=r"Optuna schema is missing.*create the tables with `python -m tuning_op"):
        Database.connect(empty_url)


def test_looking_for_a_sqlite_file_does_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatchError):
        Database.connect(f"sqlite:///{tmp_path}/study.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE alembic_version SET version_num = 'v4.0.0.a'",
            "Optuna schema is v4.0.0.a, this program needs v3.2.0.a; use a database of its own",
        ),
        (
            "UPDATE tuning_alembic_version SET version_num = '9999'",
            "tuning schema is 9999, this program needs 0002; a newer tuning-operator has changed it: run that version",
        ),
    ],
    ids=["of another Optuna", "of a newer program"],
)
def test_a_database_of_a_newer_program_is_neither_used_nor_touched(url: str, statement: str, sentence: str) -> None:
    execute(url, statement)
    for refused in (Database.connect, prepare):
        with pytest.raises(SchemaMismatchError, match=sentence) as caught:
            refused(url)
        assert caught.value.found in {"v4.0.0.a", "9999"}


def test_a_database_of_the_previous_program_is_brought_up_to_date_with_its_studies(url: str) -> None:
    with closing(Database.connect(url)) as database:
        before = database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=BEGAN_AT).load()
    execute(url, "ALTER TABLE tuning_studies DROP COLUMN search_end_json")
    execute(url, "UPDATE tuning_alembic_version SET version_num = '0001'")
    prepare(url)
    with closing(Database.connect(url)) as database:
        assert database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=BEGAN_AT).load() == before
    assert_stock_optuna_agrees(url)


def test_a_migration_that_was_cut_off_left_nothing_and_is_done_again(url: str) -> None:
    for table in ("tuning_events", "tuning_attempts", "tuning_trials", "tuning_studies", "tuning_alembic_version"):
        execute(url, f"DROP TABLE {table}")
    # Optuna does not know this table: it stands in for the second half of a migration that cannot be done.
    execute(url, "CREATE TABLE tuning_events (other INTEGER)")
    with pytest.raises(StoreError):
        prepare(url)
    engine = sa.create_engine(database_url(url), poolclass=sa.NullPool)
    assert [name for name in sa.inspect(engine).get_table_names() if name.startswith("tuning")] == ["tuning_events"]
    execute(url, "DROP TABLE tuning_events")
    prepare(url)
    Database.connect(url).close()


def test_a_file_is_made_only_in_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUrlError, match="which is no folder; create it"):
        prepare(f"sqlite:///{tmp_path}/missing/study.db")


def test_a_prepared_file_stands_alone_and_is_in_wal_mode(tmp_path: Path) -> None:
    prepare(f"sqlite:///{tmp_path}/study.db")
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_password_of_any_characters_reaches_the_database(postgres: PostgresServer) -> None:
    name = postgres.create_database()
    postgres.execute("CREATE ROLE odd SUPERUSER LOGIN PASSWORD 'a{b}%@:/c'")
    url = postgres.url(name).replace("tuning@", "odd:a%7Bb%7D%25%40%3A%2Fc@")
    prepare(url)
    Database.connect(url).close()
