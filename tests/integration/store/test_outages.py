"""The database goes away and comes back: typed errors, and nothing is lost. Other programs write into it: it is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

import optuna
import pytest
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.stored_studies import (
    ADAM,
    BEGAN_AT,
    IDENTITY,
    OPTUNA_SPACE,
    SPACE,
    SPEC_JSON,
    assert_stock_optuna_agrees,
    complete,
    fresh_trial,
    stock_optuna,
    succeeded,
)

from tuning_operator.store import (
    Database,
    DatabaseUnavailableError,
    ForeignWriteError,
    Ledger,
    ReportedPoint,
    StoredStudy,
    prepare,
)

CUT: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> ''"
"""Ends all sessions of a server but its own."""


def adopt(database: Database) -> Ledger:
    return database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=BEGAN_AT)


def work(ledger: Ledger) -> StoredStudy:
    """Every kind of write once; repeating all of it changes nothing."""
    ledger.claim(fresh_trial(0), SPACE)
    ledger.report([ReportedPoint(trial=0, step=1, value=0.1)])
    ledger.post_result(0, 0, {"val_accuracy": 0.5}, pruned=False)
    ledger.conclude(0, 0, succeeded(0.5), last_step=1, gpu_seconds=60.0, tell=complete(0.5))
    return ledger.load()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    with running_postgres() as server:
        yield server


def test_a_stopped_server_is_told_and_after_its_return_the_same_calls_succeed(own_postgres: PostgresServer) -> None:
    url = own_postgres.url(own_postgres.create_database())
    prepare(url)
    with closing(Database.connect(url)) as database:
        ledger = adopt(database)
        before = work(ledger)
        own_postgres.stop()
        calls: tuple[Callable[[], object], ...] = (
            lambda: work(ledger),
            ledger.load,
            database.ping,
            lambda: database.unfinished(IDENTITY.cluster),
            lambda: adopt(database),
            lambda: Database.connect(url),
            lambda: prepare(url),
        )
        for call in calls:
            with pytest.raises(DatabaseUnavailableError, match="does not answer"):
                call()
        own_postgres.start()
        database.ping()
        assert work(ledger) == before
    assert_stock_optuna_agrees(url)


def test_connections_that_the_server_cut_are_replaced_unnoticed(postgres_url: str, postgres: PostgresServer) -> None:
    with closing(Database.connect(postgres_url)) as database:
        ledger = adopt(database)
        before = work(ledger)
        postgres.execute(CUT)
        assert work(ledger) == before
    assert_stock_optuna_agrees(postgres_url)


def test_reading_too_goes_on_after_connections_were_cut(postgres_url: str, postgres: PostgresServer) -> None:
    with closing(Database.connect(postgres_url)) as database:
        before = work(adopt(database))
        postgres.execute(CUT)
        assert database.read(IDENTITY) == before


def test_a_connection_cut_in_the_middle_of_a_write_is_told_and_the_write_undone(
    postgres_url: str, postgres: PostgresServer
) -> None:
    with closing(Database.connect(postgres_url)) as database:
        ledger = adopt(database)

        def write() -> None:
            with ledger.together() as writes:
                writes.claim(fresh_trial(0), SPACE)
                postgres.execute(CUT)
                writes.claim(fresh_trial(1), SPACE)

        with pytest.raises(DatabaseUnavailableError, match="does not answer"):
            write()
        assert ledger.load().trials == ()
    assert_stock_optuna_agrees(postgres_url)


@pytest.mark.parametrize(
    ("place", "with_password"),
    [("tuning@", "tuning:secret@"), ("/missing?", "/missing?password=secret&")],
    ids=["user", "option"],
)
def test_a_password_is_not_in_the_message(own_postgres: PostgresServer, place: str, with_password: str) -> None:
    url = own_postgres.url("missing").replace(place, with_password)
    with pytest.raises(DatabaseUnavailableError, match='database "missing" does not exist') as caught:
        Database.connect(url)
    assert "secret" not in str(caught.value)


def test_a_sqlite_file_that_another_program_keeps_locked_does_not_answer(sqlite_url: str) -> None:
    with closing(Database.connect(f"{sqlite_url}?timeout=0.05")) as database:
        ledger = adopt(database)
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailableError, match="database is locked"):
                work(ledger)
            assert ledger.load().trials == ()
        work(ledger)
    assert_stock_optuna_agrees(sqlite_url)


# Other programs


@pytest.mark.parametrize("state", ["running", "waiting", "finished"])
def test_a_trial_that_another_program_added_is_named(database: Database, url: str, state: str) -> None:
    ledger = adopt(database)
    ledger.claim(fresh_trial(0), SPACE)
    study = optuna.load_study(study_name=ledger.study_name, storage=stock_optuna(url))
    if state == "waiting":
        study.enqueue_trial(dict(ADAM))
    else:
        trial = study.ask({name: OPTUNA_SPACE[name] for name in ADAM})
        if state == "finished":
            study.tell(trial, 0.5)
    calls: tuple[Callable[[], object], ...] = (
        ledger.load,
        lambda: database.read(IDENTITY),
        lambda: ledger.claim(fresh_trial(1), SPACE),
    )
    for call in calls:
        with pytest.raises(ForeignWriteError, match="trials added by another program: 1; delete them") as caught:
            call()
        assert caught.value.numbers == (1,)


def test_the_end_of_a_trial_that_another_program_told_is_named(database: Database, url: str) -> None:
    ledger = adopt(database)
    ledger.claim(fresh_trial(0), SPACE)
    optuna.load_study(study_name=ledger.study_name, storage=stock_optuna(url)).tell(0, 0.75)
    with pytest.raises(ForeignWriteError, match="trials finished or changed by another program: 0"):
        ledger.load()


def test_trials_of_other_studies_do_not_disturb(database: Database, url: str) -> None:
    ledger = adopt(database)
    other = optuna.create_study(study_name="somebody else's", storage=stock_optuna(url))
    for number in range(3):
        ledger.claim(fresh_trial(number), SPACE)
        other.ask(OPTUNA_SPACE)
    assert [trial.number for trial in ledger.load().trials] == [0, 1, 2]


def test_a_study_deleted_with_optuna_is_gone_and_may_come_back_empty(database: Database, url: str) -> None:
    work(adopt(database))
    optuna.delete_study(study_name=IDENTITY.study_name, storage=stock_optuna(url))
    assert adopt(database).load().trials == ()
