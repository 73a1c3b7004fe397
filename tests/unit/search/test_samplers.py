"""Our samplers infer the space that all trials have in common as Optuna's do, and look at each trial once."""

from __future__ import annotations

from typing import Final

import optuna
import pytest
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from tests.unit.search.spaces import EVERYTHING, problem

from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import SamplerName
from tuning_operator.search import random_search, samplers, space
from tuning_operator.search.problem import Suggestion

STOCK: Final[dict[SamplerName, type[BaseSampler]]] = {"tpe": TPESampler, "gp": GPSampler, "cmaes": CmaEsSampler}
BY_NAME: Final = {parameter.name: parameter for parameter in EVERYTHING}


def add(study: optuna.Study, parameters: Parameters, state: TrialState) -> None:
    study.add_trial(
        create_trial(
            state=state,
            params={name: space.encode(BY_NAME[name], value) for name, value in parameters.items()},
            distributions={name: space.distribution(BY_NAME[name]) for name in parameters},
            value=1.0 if state is TrialState.COMPLETE else None,
        )
    )


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", STOCK)
def test_the_common_space_is_that_of_optuna_after_every_trial(sampler: SamplerName) -> None:
    asked = problem(EVERYTHING, sampler=sampler)
    storage, common, seen = InMemoryStorage(), samplers.common_space(sampler), set[tuple[str, ...]]()
    name = optuna.create_study(storage=storage).study_name
    states = (TrialState.FAIL, TrialState.RUNNING, TrialState.PRUNED, TrialState.COMPLETE)
    for number in range(24):
        study = optuna.load_study(study_name=name, storage=storage)  # one that was asked remembers trials
        drawn = random_search.suggest(asked, number, ())
        assert isinstance(drawn, Suggestion)
        add(study, drawn.parameters, states[number % len(states)])
        trial = study.get_trials()[-1]
        ours = samplers.sampler(asked, number, baseline_trials=0, common=common).infer_relative_search_space(study, trial)
        assert ours == STOCK[sampler]().infer_relative_search_space(study, trial)
        assert list(ours) == sorted(ours)
        seen.add(tuple(ours))
    assert len(seen) > 1, "conditional parameters must leave the common space for this to say anything"
