"""What the report tells about: the study's statement, its status, and its trials as Optuna keeps them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.parameters import Parameters
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import Objective, StudySpec, TuningStudy
from tuning_operator.engine.facts import Role
from tuning_operator.report.words import shortened
from tuning_operator.store import attributes


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial to be read."""

    number: int
    role: str
    state: str  # Optuna's word, lower case
    value: float | None
    seconds: float | None  # from its start to its end; None while it runs
    parameters: Parameters
    seed: str
    reason: str
    message: str
    steps: int  # how many intermediate values it reported
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether it ended with a finite value."""
        return self.state == "complete" and self.value is not None and math.isfinite(self.value)


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """Everything the report may use."""

    manifest: TuningStudy
    status: StudyStatus
    study: optuna.Study

    @property
    def spec(self) -> StudySpec:
        """What the user stated."""
        return self.manifest.spec

    @property
    def objective(self) -> Objective:
        """The metric that decides."""
        return self.spec.objective

    @cached_property
    def trials(self) -> tuple[TrialRow, ...]:
        """All trials, in order of their numbers."""
        return tuple(_row(trial) for trial in self._frozen)

    @cached_property
    def scored(self) -> tuple[TrialRow, ...]:
        """The search trials that ended with a finite value, in order."""
        return tuple(row for row in self.trials if row.role == Role.SEARCH and row.scored)

    @cached_property
    def baseline(self) -> tuple[TrialRow, ...]:
        """The runs of the defaults that ended with a finite value, in order."""
        return tuple(row for row in self.trials if row.role == Role.BASELINE and row.scored)

    def view(self, keep: Collection[int]) -> optuna.Study:
        """A copy in memory for Optuna's plots, in which only the trials kept have a result.

        The others stay as failed trials, so that numbers are the study's own. Choices are escaped and cut, since
        plotly reads its labels as HTML.
        """
        shown = {name: labels(dist.choices) for name, dist in self._categorical.items()}
        copy = optuna.create_study(direction=self.objective.direction)
        copy.add_trials(_copy(trial, shown) if trial.number in keep else _blank() for trial in self._frozen)
        return copy

    @cached_property
    def _frozen(self) -> tuple[FrozenTrial, ...]:
        return tuple(self.study.get_trials(deepcopy=False))

    @cached_property
    def _categorical(self) -> Mapping[str, CategoricalDistribution]:
        known = (item for trial in self._frozen for item in trial.distributions.items())
        return {name: dist for name, dist in known if isinstance(dist, CategoricalDistribution)}


def labels(choices: Collection[Any]) -> dict[Any, str]:
    """What stands for each choice in a plot: escaped, and cut where the cut ones still differ."""
    cut = {choice: shortened(str(choice)) for choice in choices}
    text: Callable[[Any], str] = cut.__getitem__ if len(set(cut.values())) == len(cut) else str
    return {choice: escape(text(choice)) for choice in choices}


def _row(trial: FrozenTrial) -> TrialRow:
    shown = trial.user_attrs
    return TrialRow(
        number=trial.number,
        role=str(shown.get(attributes.ROLE, Role.SEARCH)),
        state=trial.state.name.lower(),
        value=trial.values[0] if trial.values else None,
        seconds=trial.duration.total_seconds() if trial.duration else None,
        parameters=dict(trial.params),
        seed=str(shown.get(attributes.SEED, "")),
        reason=str(shown.get(attributes.REASON, "")),
        message=str(shown.get(attributes.MESSAGE, "")),
        steps=len(trial.intermediate_values),
        diagnoses=attributes.diagnoses_of(shown),
    )


def _copy(trial: FrozenTrial, shown: Mapping[str, Mapping[Any, str]]) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=trial.state,
        values=trial.values,
        params={name: shown[name][value] if name in shown else value for name, value in trial.params.items()},
        distributions={name: _relabelled(dist, shown.get(name)) for name, dist in trial.distributions.items()},
        intermediate_values=trial.intermediate_values,
    )


def _relabelled(distribution: BaseDistribution, shown: Mapping[Any, str] | None) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution) or shown is None:
        return distribution
    return CategoricalDistribution([shown[choice] for choice in distribution.choices])


def _blank() -> FrozenTrial:
    return optuna.trial.create_trial(state=TrialState.FAIL)
