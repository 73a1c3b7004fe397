"""Small studies for tests of the database, and stock Optuna as the judge of what was written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import NullPool

from tuning_operator.api.parameters import Parameter, Parameters
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Attempt, Ended, Outcome, Role, Trial, TrialState
from tuning_operator.store import Database, StoredStudy, StudyIdentity
from tuning_operator.store.connection import database_url

IDENTITY: Final = StudyIdentity(
    cluster="0c9d5f3e-kube-system", uid="6f1f0d3a-7c1e-4b52-8a55-1f0a9f7d9c11", namespace="research", name="digits"
)
SPEC_JSON: Final = '{"objectives":[{"metric":"val_accuracy","direction":"maximize"}]}'
BEGAN_AT: Final = 1_795_000_000.25
AT: Final = BEGAN_AT + 1.5

SPACE: Final = tuple(
    Parameter.model_validate_json(json.dumps(document))
    for document in (
        {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "log"}},
        {"name": "batch_size", "int": {"min": 16, "max": 256, "scale": "log"}},
        {"name": "layers", "int": {"min": 1, "max": 6, "step": 2}},
        {"name": "optimizer", "categorical": {"choices": ["adam", "sgd", "lion"]}},
        {"name": "momentum", "float": {"min": 0.0, "max": 0.99}, "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
        {"name": "dropout", "float": {"min": 0.0, "max": 0.65, "step": 0.1}},
    )
)
OPTUNA_SPACE: Final = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "batch_size": IntDistribution(16, 256, log=True),
    "layers": IntDistribution(1, 5, step=2),
    "optimizer": CategoricalDistribution(("adam", "sgd", "lion")),
    "momentum": FloatDistribution(0.0, 0.99),
    "dropout": FloatDistribution(0.0, 0.6, step=0.1),
}
ADAM: Final[Parameters] = {"learning_rate": 0.1 + 0.2 - 0.29, "batch_size": 33, "layers": 3, "optimizer": "adam", "dropout": 0.3}
SGD: Final[Parameters] = {**ADAM, "optimizer": "sgd", "momentum": 0.9}


def fresh_trial(
    number: int,
    *,
    parameters: Parameters = ADAM,
    role: Role = Role.SEARCH,
    at: float = AT,
    sampler_state: Mapping[str, str] | None = None,
) -> Trial:
    """A trial as it is when it is claimed."""
    return Trial(
        number=number,
        role=role,
        parameters=parameters,
        seed=1_234_567_890 + number,
        claimed_at=at,
        attempts=(Attempt(number=0, generation=1, claimed_at=at),),
        sampler_state=sampler_state or {},
    )


def succeeded(value: float, *, at: float = AT + 60) -> Ended:
    """The end of an attempt that reached this accuracy."""
    metrics = {"val_accuracy": value, "latency_ms": 12.5}
    return Ended(outcome=Outcome.SUCCEEDED, at=at, reason="Completed", metrics=metrics, placed_at=at - 50.25)


def disrupted(*, at: float = AT + 60) -> Ended:
    """The end of an attempt that was preempted."""
    return Ended(outcome=Outcome.DISRUPTED, at=at, reason="Preempted", message="the node was drained")


def complete(value: float) -> Tell:
    """A trial that reached this accuracy."""
    return Tell(state=TrialState.COMPLETE, value=value, reason="Completed")


def comparable(study: StoredStudy | None) -> StoredStudy | None:
    """The same study with a name for NaN, which does not equal itself."""
    return study and _renamed(study)


def _renamed(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, Mapping):
        return {key: _renamed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_renamed(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        renamed = object.__new__(type(value))
        renamed.__dict__.update({field: _renamed(getattr(value, field)) for field in value.__dataclass_fields__})
        return renamed
    return value


def stock_optuna(url: str) -> RDBStorage:
    """Optuna's own storage on the same database."""
    return RDBStorage(
        database_url(url).render_as_string(hide_password=False), engine_kwargs={"poolclass": NullPool}, skip_table_creation=True
    )


def assert_stock_optuna_agrees(url: str) -> None:
    """Stock Optuna loads every study of the database and sees what we see."""
    database = Database.connect(url)
    storage = stock_optuna(url)
    try:
        summaries = database.studies()
        assert sorted(optuna.get_all_study_names(storage)) == sorted(s.identity.study_name for s in summaries)
        for summary in summaries:
            study = optuna.load_study(study_name=summary.identity.study_name, storage=storage)
            stored = database.read(summary.identity)
            assert stored is not None
            _assert_same_trials(study.get_trials(deepcopy=False), stored.trials)
    finally:
        storage.remove_session()
        database.close()


def _assert_same_trials(theirs: Iterable[FrozenTrial], ours: Iterable[Trial]) -> None:
    for frozen, trial in zip(theirs, ours, strict=True):
        assert frozen.number == trial.number
        assert frozen.state.name == trial.state.name
        assert frozen.value == trial.value
        assert frozen.params == trial.parameters
        assert list(frozen.params) == list(trial.parameters)
        assert frozen.distributions == {name: OPTUNA_SPACE[name] for name in trial.parameters}
        assert _renamed(frozen.intermediate_values) == _renamed(trial.reports)
        assert frozen.system_attrs == {key: json.loads(text) for key, text in trial.sampler_state.items()}
        assert _renamed(frozen.user_attrs) == _renamed(_expected_attributes(trial))
        assert frozen.datetime_start == datetime.fromtimestamp(trial.claimed_at)  # noqa: DTZ006 - Optuna's are naive local time
        assert frozen.datetime_complete == (trial.finished_at and datetime.fromtimestamp(trial.finished_at))  # noqa: DTZ006


def _expected_attributes(trial: Trial) -> dict[str, Any]:
    attributes: dict[str, Any] = {"tuning:role": trial.role.value, "tuning:seed": trial.seed}
    if trial.finished:
        attributes |= {"tuning:reason": trial.reason, "tuning:message": trial.message}
        attributes |= {f"tuning:metric:{name}": value for name, value in trial.metrics.items()}
        if trial.diagnoses:
            attributes["tuning:diagnoses"] = [asdict(diagnosis) for diagnosis in trial.diagnoses]
    return attributes
