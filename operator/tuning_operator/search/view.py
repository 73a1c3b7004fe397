"""A study's history as an Optuna study in memory. Imported by the search process only: it needs optuna."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Role, TrialState
from tuning_operator.search import discrete, distinct, samplers, space
from tuning_operator.search.history import Evaluation
from tuning_operator.search.imputation import ImputingStorage
from tuning_operator.search.problem import Exhausted, Problem, Suggestion

_STATES = {
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAIL: OptunaState.FAIL,
}


class View:
    """What one study's samplers know. After any exception it is of no use: make another from the whole history."""

    def __init__(self, problem: Problem) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.problem = problem
        self._parameters = {parameter.name: parameter for parameter in problem.parameters}
        self._distributions = {name: space.distribution(parameter) for name, parameter in self._parameters.items()}
        self._storage = ImputingStorage(problem.direction)
        optuna.create_study(storage=self._storage, study_name=problem.key, direction=problem.direction)
        self._study_id = self._storage.get_study_id_from_name(problem.key)
        self._common = samplers.common_space(problem.sampler)
        self._count = 0
        self._baseline_trials = 0
        self._finite = discrete.finite(problem.parameters)
        self._tried: list[Parameters] = []

    def feed(self, evaluations: Iterable[Evaluation]) -> None:
        """Add new trials in order of number, and finish running ones.

        Raises:
            ValueError: there is a gap before a new trial.
        """
        for evaluation in evaluations:
            shown = self._shown(evaluation)
            if evaluation.number < self._count:
                self._finish(shown)
            else:
                self._add(shown)
            self._learn(shown)

    def ask(self, number: int) -> Suggestion | Exhausted:
        """Sample the next trial and keep it as a running one. After `Exhausted` the view is of no use.

        Raises:
            ValueError: this is not the next number.
        """
        self._expect(number)
        self._storage.impute()
        # Without Optuna's own ask: what it samples stays in the trial, and a draw may have been tried before.
        trial = self._storage.get_trial(self._storage.create_new_trial(self._study_id))
        parameters = distinct.first_new(self.problem, number, self._draws(trial), self._tried)
        if parameters is None:
            return Exhausted()
        self._count += 1
        self._hold(trial, parameters)
        self._note(Role.SEARCH, parameters)
        attributes = self._storage.get_trial(self._id(number)).system_attrs
        return Suggestion(parameters, {name: json.dumps(value) for name, value in attributes.items()})

    def _draws(self, trial: FrozenTrial) -> Iterator[Parameters]:
        """What a sampler proposes for the trial, again and again."""
        sampler = samplers.sampler(self.problem, trial.number, baseline_trials=self._baseline_trials, common=self._common)
        # A study remembers the trials that it has seen, so each question has its own.
        study = optuna.load_study(study_name=self.problem.key, storage=self._storage, sampler=sampler)
        sampler.before_trial(study, trial)
        while True:
            common = sampler.infer_relative_search_space(study, trial)
            relative = sampler.sample_relative(study, trial, common)
            alone = partial(sampler.sample_independent, study, trial)
            yield space.suggest(self.problem.parameters, partial(_chosen, relative, alone))

    def _note(self, role: Role, parameters: Parameters) -> None:
        if self._finite and role is Role.SEARCH:
            self._tried.append(parameters)

    def _hold(self, trial: FrozenTrial, parameters: Parameters) -> None:
        """Keep what we answer, rounded into its domain, not what the sampler said: a rebuilt view cannot know that."""
        for name, value in self._encoded(parameters).items():
            internal = self._distributions[name].to_internal_repr(value)
            self._storage.set_trial_param(self._id(trial.number), name, internal, self._distributions[name])

    def _shown(self, evaluation: Evaluation) -> Evaluation:
        """TPE ranks a pruned trial without a value behind all others, and does not see a failed one."""
        if self.problem.sampler != "tpe" or not evaluation.unfit:
            return evaluation
        return replace(evaluation, state=TrialState.PRUNED, last_report=None)

    def _learn(self, shown: Evaluation) -> None:
        """The Gaussian process and CMA-ES read complete trials only, so that they need a value for the others."""
        if self.problem.sampler == "tpe":
            return
        if shown.value is not None and shown.state is TrialState.COMPLETE:
            self._storage.observe(shown.value)
        elif shown.unfit:
            self._storage.stand_in(self._id(shown.number))
        elif shown.state is TrialState.PRUNED:
            self._storage.stand_in(self._id(shown.number), last_report=shown.last_report[1] if shown.last_report else None)

    def _add(self, evaluation: Evaluation) -> None:
        self._expect(evaluation.number)
        self._storage.create_new_trial(self._study_id, self._frozen(evaluation))
        self._count += 1
        self._baseline_trials += evaluation.role is Role.BASELINE
        self._note(evaluation.role, evaluation.parameters)

    def _finish(self, evaluation: Evaluation) -> None:
        trial_id = self._id(evaluation.number)
        if evaluation.last_report is not None:
            self._storage.set_trial_intermediate_value(trial_id, *evaluation.last_report)
        self._storage.set_trial_state_values(trial_id, _STATES[evaluation.state], _values(evaluation))

    def _frozen(self, evaluation: Evaluation) -> FrozenTrial:
        # Not optuna.trial.create_trial: it refuses a default that lies beside its step by a rounding error.
        return FrozenTrial(
            number=evaluation.number,
            trial_id=evaluation.number,
            state=_STATES[evaluation.state],
            value=None,
            values=_values(evaluation),
            datetime_start=None,
            datetime_complete=None,
            params=self._encoded(evaluation.parameters),
            distributions={name: self._distributions[name] for name in evaluation.parameters},
            user_attrs={},
            system_attrs={name: json.loads(text) for name, text in evaluation.sampler_state.items()},
            intermediate_values=dict([evaluation.last_report] if evaluation.last_report else []),
        )

    def _encoded(self, parameters: Parameters) -> dict[str, float | int | str]:
        return {name: space.encode(self._parameters[name], value) for name, value in parameters.items()}

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _expect(self, number: int) -> None:
        if number != self._count:
            raise ValueError(f"trial {number} does not follow the {self._count} trials known")


def _values(evaluation: Evaluation) -> list[float] | None:
    return None if evaluation.value is None else [evaluation.value]


def _chosen(
    relative: Mapping[str, Any], alone: Callable[[str, BaseDistribution], Any], name: str, distribution: BaseDistribution
) -> Any:
    return relative[name] if name in relative else alone(name, distribution)
