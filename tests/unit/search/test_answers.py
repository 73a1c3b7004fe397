"""What every sampler promises, whatever the space and whatever happened before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.search.runs import trial
from tests.unit.search.spaces import COUNTABLE, EVERYTHING, problem, spaces

from tuning_operator.api.parameters import Parameter, defaults, mismatch
from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Role, Trial, TrialState
from tuning_operator.search import discrete, samplers
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Exhausted, Suggestion
from tuning_operator.search.searcher import SearchFailed

STARTUP: Final = [(TrialState.COMPLETE, 0.5 * number) for number in range(samplers.STARTUP_TRIALS)]

outcomes = st.one_of(
    st.tuples(st.just(TrialState.COMPLETE), st.floats(-1e9, 1e9)),
    st.tuples(st.just(TrialState.PRUNED), st.floats(-1e9, 1e9) | st.none()),
    st.tuples(st.sampled_from([TrialState.FAIL, TrialState.RUNNING]), st.none()),
)
histories = st.lists(outcomes, max_size=6).flatmap(lambda some: st.sampled_from([some, STARTUP + some]))
Outcomes = Sequence[tuple[TrialState, float | None]]


def answers_belong_to_the_space(sampler: SamplerName, parameters: tuple[Parameter, ...], history: Outcomes) -> None:
    asked = replace(problem(parameters, sampler=sampler), grid_points=2)
    searcher = InlineSearcher()
    trials: list[Trial] = []
    for state, value in [*history, (TrialState.RUNNING, None)]:
        answer = searcher.ask_now(asked, trials, len(trials))
        if isinstance(answer, Exhausted):
            assert discrete.finite(parameters)
            return
        assert mismatch(parameters, answer.parameters) is None
        reports = {} if value is None else {1: value}
        trials.append(
            replace(trial(len(trials), answer.parameters, state, value), reports=reports, sampler_state=answer.sampler_state)
        )


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "cmaes"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parameters=spaces(), history=histories)
def test_every_answer_is_a_configuration_of_the_space(
    sampler: SamplerName, parameters: tuple[Parameter, ...], history: Outcomes
) -> None:
    answers_belong_to_the_space(sampler, parameters, history)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parameters=spaces(), history=st.lists(outcomes, max_size=2).map(lambda some: STARTUP + some))
def test_every_answer_of_the_gaussian_process_is_a_configuration_of_the_space(
    parameters: tuple[Parameter, ...], history: Outcomes
) -> None:
    answers_belong_to_the_space("gp", parameters, history)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_equal_values_everywhere_are_no_trouble(sampler: SamplerName) -> None:
    answers_belong_to_the_space(sampler, EVERYTHING, [(TrialState.COMPLETE, 1.0)] * 13)


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "gp", "cmaes", "grid"])
def test_two_studies_of_different_seeds_get_different_parameters(sampler: SamplerName) -> None:
    first, second = (InlineSearcher().ask_now(problem(sampler=sampler, seed=seed), [], 0) for seed in (1, 2))
    assert isinstance(first, Suggestion)
    assert isinstance(second, Suggestion)
    assert first.parameters != second.parameters


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_baseline_trials_do_not_count_as_random_ones(sampler: SamplerName) -> None:
    """A model that starts after twenty repeats of one configuration knows a single point."""
    asked, repeats = problem(sampler=sampler), range(20)
    running = [trial(number, defaults(EVERYTHING), role=Role.BASELINE) for number in repeats]
    complete = [replace(one, state=TrialState.COMPLETE, value=float(one.number)) for one in running]
    assert InlineSearcher().ask_now(asked, complete, 20) == InlineSearcher().ask_now(asked, running, 20)


def test_a_question_with_missing_trials_is_refused() -> None:
    with pytest.raises(ValueError, match="trial 3 is asked for with 1 trials before it"):
        InlineSearcher().ask_now(problem(), [trial(0, {})], 3)


def test_a_sampler_that_raises_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, searcher, trials = problem(COUNTABLE), InlineSearcher(), list[Trial]()
    for number in range(12):
        answer = searcher.ask_now(asked, trials, number)
        assert isinstance(answer, Suggestion)
        trials.append(replace(trial(number, answer.parameters, TrialState.COMPLETE, 1.0), sampler_state=answer.sampler_state))

    with monkeypatch.context() as patch:
        patch.setattr(samplers, "sampler", lambda *_, **__: 1 / 0)
        with pytest.raises(SearchFailed, match="sampler tpe failed at trial 12: ZeroDivisionError"):
            searcher.ask_now(asked, trials, 12)

    assert searcher.ask_now(asked, trials, 12) == InlineSearcher().ask_now(asked, trials, 12)


def test_a_trial_that_does_not_fit_the_space_is_a_failed_search() -> None:
    with pytest.raises(SearchFailed, match="KeyError: 'unheard_of'"):
        InlineSearcher().ask_now(problem(), [trial(0, {"unheard_of": 1})], 1)
