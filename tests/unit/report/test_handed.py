"""Trials handed over in a file are reported on like those of a database."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.support.stored_studies import ADAM, AT, IDENTITY, SGD, SPACE, complete, disrupted, fresh_trial, stock_optuna, succeeded
from tests.support.studies import study_spec

from tuning_operator.api.study import ObjectMeta, TuningStudy
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Role, Trial, TrialState
from tuning_operator.report.handed import study_of
from tuning_operator.report.launch import TRIALS, trials_json
from tuning_operator.store import Database, ReportedPoint, prepare


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[str, Database]]:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    prepare(url)
    database = Database.connect(url)
    yield url, database
    database.close()


def manifest() -> TuningStudy:
    parameters: list[dict[str, Any]] = [json.loads(parameter.model_dump_json(exclude_none=True)) for parameter in SPACE]
    return TuningStudy(
        api_version="tuningstudy.dev/v1alpha1",
        kind="TuningStudy",
        metadata=ObjectMeta(name=IDENTITY.name, namespace=IDENTITY.namespace),
        spec=study_spec(parameters=parameters),
    )


def stored_trials(database: Database) -> tuple[Trial, ...]:
    """A complete one with reports, a pruned one, a failed one, one that runs."""
    study = manifest()
    ledger = database.adopt(IDENTITY, spec_json=study.spec.model_dump_json(), direction="maximize", now=AT)
    for number, parameters in enumerate((ADAM, SGD, ADAM, SGD)):
        role = Role.BASELINE if number == 0 else Role.SEARCH
        ledger.claim(fresh_trial(number, parameters=parameters, role=role), SPACE)
    values = (0.25, math.nan, math.inf)
    ledger.report([ReportedPoint(trial=trial, step=step, value=value) for trial in (0, 1) for step, value in enumerate(values)])
    ledger.conclude(0, 0, succeeded(0.75), last_step=2, gpu_seconds=0.0, tell=complete(0.75))
    pruned = Tell(state=TrialState.PRUNED, value=0.25, reason="Pruned")
    ledger.conclude(1, 0, replace(succeeded(0.5), pruned=True), last_step=2, gpu_seconds=0.0, tell=pruned)
    failed = Tell(state=TrialState.FAIL, value=None, reason="OOMKilled", message="the container was killed")
    ledger.conclude(2, 0, disrupted(), last_step=-1, gpu_seconds=0.0, tell=failed)
    return ledger.load().trials


def compared(trial: optuna.trial.FrozenTrial) -> str:
    """As text, in which NaN equals NaN."""
    fields = {name: value for name, value in vars(trial).items() if name not in {"_trial_id", "_system_attrs"}}
    return json.dumps(fields, sort_keys=True, default=repr, indent=1)


def test_what_is_handed_over_is_what_the_database_holds(database: tuple[str, Database]) -> None:
    url, opened = database
    trials = stored_trials(opened)
    storage = stock_optuna(url)
    expected = optuna.load_study(study_name=IDENTITY.study_name, storage=storage)
    handed = study_of(manifest(), TRIALS.validate_json(trials_json(trials)))
    assert handed.direction == expected.direction
    assert [compared(trial) for trial in handed.trials] == [compared(trial) for trial in expected.trials]
    storage.remove_session()
