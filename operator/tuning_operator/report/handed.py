"""Trials handed over in a file instead of a database: for reports of studies whose database is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from tuning_operator.api.study import TuningStudy
from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Trial
from tuning_operator.store import attributes
from tuning_operator.store.distributions import distribution_json

_STATES: Final = {state.name.lower(): state for state in TrialState}


def study_of(manifest: TuningStudy, trials: Sequence[Trial]) -> optuna.Study:
    """The study in memory, as it would be loaded from the database that the store writes."""
    domains = {parameter.name: parameter.domain for parameter in manifest.spec.parameters}
    distributions = {name: json_to_distribution(distribution_json(domain)) for name, domain in domains.items()}
    study = optuna.create_study(direction=manifest.spec.objective.direction)
    study.add_trials(_frozen(trial, distributions) for trial in trials)
    return study


def _frozen(trial: Trial, distributions: dict[str, optuna.distributions.BaseDistribution]) -> FrozenTrial:
    shown = attributes.at_claim(trial)
    if trial.finished:
        tell = Tell(state=trial.state, value=trial.value, reason=trial.reason, message=trial.message)
        shown |= attributes.at_end(tell, trial.metrics, trial.diagnoses)
    frozen = optuna.trial.create_trial(
        state=_STATES[trial.state],
        value=trial.value,
        params=dict(trial.parameters),
        distributions={name: distributions[name] for name in trial.parameters},
        user_attrs=shown,
        intermediate_values=dict(trial.reports),
    )
    frozen.datetime_start = _local(trial.claimed_at)
    frozen.datetime_complete = None if trial.finished_at is None else _local(trial.finished_at)
    return frozen


def _local(at: float) -> datetime:
    """A time as Optuna gives it: of this machine's zone, which is not said."""
    return datetime.fromtimestamp(at).astimezone().replace(tzinfo=None)
