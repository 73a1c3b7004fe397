"""A whole study: real database, real processes, real gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.support.local_studies import IDENTITY, LocalStudy, open_study
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.stored_studies import stock_optuna
from tests.support.studies import study_spec

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import Trial, TrialState
from tuning_operator.engine.status import project
from tuning_operator.store.database import Database
from tuning_operator.store.prepare import prepare
from tuning_operator.telemetry.metrics import REGISTRY

X = {"name": "x", "float": {"min": 0.0, "max": 1.0, "default": 0.5}}


def spec_of(command: list[str], **changes: Any) -> StudySpec:
    trial = {"template": {"spec": {"containers": [{"name": "t", "command": command}]}}}
    return study_spec(trial=trial, parameters=[X], search={"sampler": "random"}, **changes)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with running_postgres() as server:
        yield server


async def test_a_database_that_goes_away_while_trials_run_loses_and_doubles_nothing(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    url = own_server.url(own_server.create_database())
    await asyncio.to_thread(prepare, url)
    started, go, runs = tmp_path / "started", tmp_path / "go", tmp_path / "runs"
    os.mkfifo(started)
    os.mkfifo(go)
    # Only the first trial waits: it ends while the database is away.
    script = f"""
    echo $TUNING_TRIAL >> {runs}
    if [ $TUNING_TRIAL = 0 ]; then echo started > {started}; read line < {go}; fi
    printf '{{"val_accuracy": %s}}' $TUNING_PARAM_X > $TUNING_RESULT_FILE
    """
    spec = spec_of(["sh", "-c", script], budget={"maxTrials": 4, "parallelism": 1})
    async with open_study(spec, url, tmp_path) as study:
        running = asyncio.create_task(study.run())
        await asyncio.to_thread(started.read_text)
        await asyncio.to_thread(own_server.stop)
        await asyncio.to_thread(go.write_text, "go\n")
        await ended(study)
        await asyncio.to_thread(own_server.start)
        facts = await running
    assert [trial.state for trial in facts.trials] == [TrialState.COMPLETE] * 4
    assert runs.read_text().split() == ["0", "1", "2", "3"]
    stored = await asyncio.to_thread(read, url)
    assert [trial.value for trial in stored] == [trial.value for trial in facts.trials]
    await asyncio.to_thread(assert_stock_optuna_has_the_same, url, stored)


async def ended(study: LocalStudy) -> None:
    """Wait until the runtime has seen the end of trial 0."""
    async with asyncio.timeout(60):
        while True:
            observed = study.controller.facts().trial(0).last.observed
            if observed is not None and observed.ended is not None:
                return
            await asyncio.sleep(0.01)


CLIENT = """
import time
import tuning_client

with tuning_client.trial() as trial:
    good = trial.number < 2
    for step in range(1_000_000):
        trial.report(step, 0.9 if good else 0.1)
        if good and step == 3:
            trial.result(val_accuracy=0.9)
            break
        if trial.should_prune():
            raise tuning_client.Pruned
        if not good:
            time.sleep(0.01)
"""


async def test_a_hopeless_trial_is_told_to_stop_through_the_gateway(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    await asyncio.to_thread(prepare, url)
    spec = spec_of(
        [sys.executable, "-c", CLIENT],
        budget={"maxTrials": 3, "parallelism": 1},
        pruning={"pruner": "median", "startupTrials": 2},
    )
    async with open_study(spec, url, tmp_path) as study:
        facts = await study.run()
    assert [trial.state for trial in facts.trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]
    assert [len(trial.attempts) for trial in facts.trials] == [1, 1, 1]
    stored = await asyncio.to_thread(read, url)
    await asyncio.to_thread(assert_stock_optuna_has_the_same, url, stored)
    assert stored[0].reports == dict.fromkeys(range(4), 0.9), "every report is stored before its trial is told"
    assert (stored[2].state, stored[2].value) == (TrialState.PRUNED, 0.1)


DIAGNOSED = """
import os
import tuning_client

if os.environ["TUNING_TRIAL"] == "1":  # nobody is there: only the result file has it
    del os.environ["TUNING_ENDPOINT"]
with tuning_client.trial() as trial:
    name = ["overfitting", "my-own-remark", "out-of-memory"][trial.number]
    value = [0.5, 0.6, float("nan")][trial.number]
    trial.result(value, diagnoses=[tuning_client.Diagnosis(name, "train less", figure=1.5)])
"""


async def test_diagnoses_reach_database_status_and_metrics_by_the_gateway_and_by_the_result_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    await asyncio.to_thread(prepare, url)
    names = ("overfitting", "my-own-remark", "out-of-memory")
    before = [counted(label) for label in ("overfitting", "other", "out-of-memory")]
    spec = spec_of([sys.executable, "-c", DIAGNOSED], budget={"maxTrials": 3, "parallelism": 1}, retry={"failures": 2})
    async with open_study(spec, url, tmp_path) as study:
        facts = await study.run()
    assert [trial.state for trial in facts.trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert (facts.trials[2].reason, len(facts.trials[2].attempts)) == ("OutOfMemory", 1)
    stored = await asyncio.to_thread(read, url)
    assert [trial.diagnoses for trial in stored] == [(Diagnosis(name=name, advice="train less", figure=1.5),) for name in names]
    assert [found.name for found in project(facts, 0.0).diagnoses] == list(names)
    assert [counted(label) for label in ("overfitting", "other", "out-of-memory")] == [count + 1 for count in before]
    shown = await asyncio.to_thread(attributes_in_optuna, url)
    assert [attributes["tuning:diagnoses"][0]["name"] for attributes in shown] == list(names)


def counted(diagnosis: str) -> float:
    labels = {"namespace": "default", "diagnosis": diagnosis}
    return REGISTRY.get_sample_value("tuning_trial_diagnoses_total", labels) or 0.0


def attributes_in_optuna(url: str) -> list[dict[str, Any]]:
    storage = stock_optuna(url)
    try:
        return [trial.user_attrs for trial in optuna.load_study(storage=storage, study_name=IDENTITY.study_name).trials]
    finally:
        storage.remove_session()


def read(url: str) -> tuple[Trial, ...]:
    database = Database.connect(url)
    try:
        study = database.read(IDENTITY)
        assert study is not None
        return study.trials
    finally:
        database.close()


def assert_stock_optuna_has_the_same(url: str, stored: tuple[Trial, ...]) -> None:
    storage = stock_optuna(url)
    try:
        study = optuna.load_study(storage=storage, study_name=IDENTITY.study_name)
        theirs = [(trial.state.name.lower(), trial.value, trial.params) for trial in study.trials]
    finally:
        storage.remove_session()
    assert theirs == [(trial.state.value, trial.value, trial.parameters) for trial in stored]
