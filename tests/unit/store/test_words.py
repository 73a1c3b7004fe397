"""Names, URLs and sentences."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.support.stored_studies import IDENTITY

from tuning_operator.store import DatabaseUrlError, ForeignWriteError, ReportedPoint, SchemaMismatchError
from tuning_operator.store.connection import database_url


def test_the_store_needs_neither_optuna_nor_alembic_nor_torch() -> None:
    script = "import sys, tuning_operator.store; print(sorted({'optuna', 'alembic', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_a_studys_name_in_optuna_says_where_it_lives_and_which_creation_it_is() -> None:
    assert IDENTITY.study_name == "research/digits/6f1f0d3a"


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("postgresql://user:secret@host/tuning", "postgresql+psycopg"),
        ("postgresql+psycopg://host/tuning", "postgresql+psycopg"),
        ("sqlite:///study.db", "sqlite"),
        ("sqlite+pysqlite:////data/study.db", "sqlite"),
    ],
)
def test_the_driver_of_a_url_is_named(text: str, driver: str) -> None:
    assert database_url(text).drivername == driver


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot be read; write postgresql://"),
        ("user:secret@host", "cannot be read; write postgresql://"),
        ("mysql://host/tuning", "names mysql, which is not supported; write postgresql://"),
        ("postgresql+psycopg2://host/tuning", r"names postgresql\+psycopg2, which is not supported"),
        ("sqlite://", "names no file; write"),
        ("sqlite:///:memory:", "names no file; write"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_remedy(text: str, sentence: str) -> None:
    with pytest.raises(DatabaseUrlError, match=sentence):
        database_url(text)


def test_a_url_that_cannot_be_read_is_not_repeated_for_it_may_hold_a_password() -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        database_url("user:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("step", [-1, 2**31])
def test_a_step_that_optuna_cannot_store_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=f"step {step} of trial 3 is outside 0 .. 2147483647"):
        ReportedPoint(trial=3, step=step, value=0.5)


def test_a_schema_mismatch_says_what_was_found_what_is_needed_and_what_to_do() -> None:
    error = SchemaMismatchError(schema="Optuna", found="v4.0.0.a", expected="v3.2.0.a", remedy="use another database")
    assert str(error) == "the database's Optuna schema is v4.0.0.a, this program needs v3.2.0.a; use another database"
    missing = SchemaMismatchError(schema="Optuna", found=None, expected="v3.2.0.a", remedy="create it")
    assert str(missing) == "the database's Optuna schema is missing, this program needs v3.2.0.a; create it"


def test_foreign_trials_are_named_but_not_all_of_many() -> None:
    error = ForeignWriteError("research/digits/6f1f0d3a", range(4, 24), "added")
    assert "added by another program: 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 ...; delete them" in str(error)
    assert error.numbers == tuple(range(4, 24))
