from __future__ import annotations

from typing import Any

import pytest
from tests.unit.search.spaces import BATCH, DROPOUT, LAYERS, MOMENTUM, OPTIMIZER, RATE

from tuning_operator.api.study import StudySpec
from tuning_operator.search import samplers
from tuning_operator.search.auto import MOST_GP_TRIALS, choose
from tuning_operator.search.problem import problem_of

Space = list[dict[str, Any]]

NUMERIC: Space = [RATE, BATCH]
MIXED: Space = [RATE, BATCH, OPTIMIZER, DROPOUT]
FINITE: Space = [OPTIMIZER, DROPOUT, LAYERS]
CONDITIONAL: Space = [RATE, OPTIMIZER, MOMENTUM]


def spec(parameters: Space, trials: int, parallelism: int = 1, sampler: str = "auto") -> StudySpec:
    document = {
        "objectives": [{"metric": "accuracy", "direction": "maximize"}],
        "parameters": parameters,
        "search": {"sampler": sampler} | ({"gridPoints": 3} if sampler == "grid" else {}),
        "budget": {"maxTrials": trials, "parallelism": parallelism},
        "trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "trainer"}]}}},
    }
    return StudySpec.model_validate(document, strict=False)


@pytest.mark.parametrize(
    ("parameters", "trials", "parallelism", "sampler", "reason"),
    [
        pytest.param(
            FINITE, 18, 1, "grid", "the space has 18 configurations and maxTrials is 18", id="a space within the budget"
        ),
        pytest.param(FINITE, 17, 1, "gp", "unconditional space", id="a finite space just above the budget"),
        pytest.param(NUMERIC, 11, 1, "qmc", "11 trials, 1 at once: too few results", id="hardly any trials"),
        pytest.param(NUMERIC, 18, 8, "qmc", "18 trials, 8 at once: too few", id="all trials out before ten are back"),
        pytest.param(NUMERIC, 19, 1, "gp", "19 trials, 1 at once", id="a numeric space"),
        pytest.param(MIXED, 60, 4, "gp", "60 trials, 4 at once", id="a space with choices"),
        pytest.param(NUMERIC, MOST_GP_TRIALS, 8, "gp", "fewest trials", id="the largest budget of a Gaussian process"),
        pytest.param(NUMERIC, MOST_GP_TRIALS + 1, 8, "tpe", "is slow, TPE is not", id="more trials than that"),
        pytest.param(CONDITIONAL, 60, 4, "tpe", "conditional space", id="a conditional space"),
    ],
)
def test_auto_chooses(parameters: Space, trials: int, parallelism: int, *, sampler: str, reason: str) -> None:
    choice = choose(spec(parameters, trials, parallelism))
    assert choice.sampler == sampler
    assert reason in choice.reason


@pytest.mark.parametrize("sampler", ["random", "grid", "qmc", "tpe", "gp", "cmaes"])
def test_a_sampler_named_in_the_manifest_is_taken_as_it_is(sampler: str) -> None:
    choice = choose(spec(CONDITIONAL, 60, sampler=sampler))
    assert (choice.sampler, choice.reason) == (sampler, "as the manifest says")


def test_the_reason_says_that_a_finite_space_is_searched_without_repeats() -> None:
    assert "no configuration is tried twice" in choose(spec(FINITE, 17)).reason
    assert "no configuration is tried twice" not in choose(spec(MIXED, 17)).reason


@pytest.mark.parametrize(
    ("sampler", "trials", "parallelism", "warned"),
    [
        pytest.param("auto", 60, 7, True, id="more than a tenth at once"),
        pytest.param("auto", 60, 6, False, id="a tenth at once"),
        pytest.param("tpe", 60, 7, True, id="with a sampler of the user's choice too"),
        pytest.param("random", 60, 7, False, id="not when results are not learnt from"),
        pytest.param("tpe", 5, 1, False, id="not for one trial after the other"),
    ],
)
def test_the_reason_warns_of_parallelism(sampler: str, trials: int, parallelism: int, *, warned: bool) -> None:
    reason = choose(spec(NUMERIC, trials, parallelism, sampler)).reason
    assert (f"parallelism {parallelism} is more than a tenth of maxTrials {trials}" in reason) is warned
    assert len(reason) <= 512


def test_auto_counts_the_same_random_trials_as_the_samplers() -> None:
    trials = samplers.STARTUP_TRIALS + 1
    assert choose(spec(NUMERIC, trials)).sampler == "qmc"
    assert choose(spec(NUMERIC, trials + 1)).sampler == "gp"


def test_an_unresolved_sampler_is_no_problem_to_solve() -> None:
    with pytest.raises(ValueError, match=r"resolve it with search\.auto\.choose first"):
        problem_of("key", spec(NUMERIC, 60), "auto")


def test_a_problem_is_taken_from_the_spec() -> None:
    problem = problem_of("key", spec(NUMERIC, 60, 4), "gp")
    assert (problem.sampler, problem.direction, problem.max_trials, problem.parallelism) == ("gp", "maximize", 60, 4)
    assert [parameter.name for parameter in problem.parameters] == ["learning_rate", "batch_size"]
