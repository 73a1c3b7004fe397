"""What samplers learn of trials without a value. The database keeps what happened; only what samplers see is made up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bench.search.simulation import End, Simulation, ended
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as Shown
from tests.unit.search.runs import trial
from tests.unit.search.spaces import problem, space

from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import Direction, SamplerName
from tuning_operator.engine.facts import Outcome, TrialState
from tuning_operator.search.history import evaluation
from tuning_operator.search.imputation import ImputingStorage
from tuning_operator.search.inline import InlineSearcher

PLANE = space({"name": "x", "float": {"min": -5.0, "max": 10.0}}, {"name": "y", "float": {"min": 0.0, "max": 15.0}})
EDGE = 5.0  # beyond it a third of the plane


@pytest.mark.parametrize(
    ("outcome", "unfit"),
    [
        pytest.param(Outcome.INFEASIBLE, True, id="not finite, out of memory, too slow"),
        pytest.param(Outcome.FAILED, True, id="crashed as often as it may be retried"),
        pytest.param(Outcome.DISRUPTED, False, id="disrupted too often"),
        pytest.param(Outcome.STOPPED, False, id="stopped because the study ended"),
    ],
)
def test_a_failed_trial_says_something_of_its_parameters(outcome: Outcome, *, unfit: bool) -> None:
    failed = ended(trial(0, {"x": 1.0}), End(state=TrialState.FAIL, outcome=outcome), at=1.0)
    assert evaluation(failed).unfit is unfit


def test_a_trial_that_is_run_again_after_a_failure_says_nothing_yet() -> None:
    failed = ended(trial(0, {"x": 1.0}), End(state=TrialState.FAIL, outcome=Outcome.FAILED), at=1.0)
    assert not evaluation(replace(failed, state=TrialState.RUNNING)).unfit


def stored(direction: Direction, states: Sequence[tuple[Shown, float | None]]) -> ImputingStorage:
    storage = ImputingStorage(direction)
    study = storage.create_new_study([StudyDirection[direction.upper()]], "study")
    for number, (state, value) in enumerate(states):
        storage.create_new_trial(
            study,
            FrozenTrial(
                number=number,
                trial_id=number,
                state=state,
                value=value,
                datetime_start=None,
                datetime_complete=None,
                params={"x": 1.0},
                distributions={"x": FloatDistribution(0, 2)},
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            ),
        )
        if value is not None:
            storage.observe(value)
    return storage


def complete(storage: ImputingStorage) -> dict[int, float | None]:
    return {each.number: each.value for each in storage.get_all_trials(0, states=(Shown.COMPLETE,))}


@pytest.mark.parametrize(("direction", "worst", "worse"), [("maximize", 1.0, -8.0), ("minimize", 3.0, 8.0)])
def test_a_diverged_trial_has_the_worst_value_so_far(direction: Direction, worst: float, worse: float) -> None:
    storage = stored(direction, [(Shown.COMPLETE, 1.0), (Shown.FAIL, None), (Shown.COMPLETE, 3.0), (Shown.FAIL, None)])
    storage.stand_in(1)
    storage.impute()
    assert complete(storage) == {0: 1.0, 1: worst, 2: 3.0}
    storage.observe(worse)
    storage.impute()
    assert complete(storage) == {0: 1.0, 1: worse, 2: 3.0}
    assert storage.get_trial(1).state is Shown.FAIL


@pytest.mark.parametrize(("report", "shown"), [(0.5, 1.0), (2.0, 2.0), (None, 1.0)], ids=["worse", "better", "none"])
def test_a_pruned_trial_has_its_last_report_but_nothing_worse_than_the_worst(report: float | None, shown: float) -> None:
    storage = stored("maximize", [(Shown.COMPLETE, 1.0), (Shown.COMPLETE, 3.0), (Shown.PRUNED, None)])
    storage.stand_in(2, last_report=report)
    storage.impute()
    assert complete(storage) == {0: 1.0, 1: 3.0, 2: shown}


def test_before_any_value_a_diverged_trial_counts_as_running() -> None:
    storage = stored("maximize", [(Shown.FAIL, None)])
    storage.stand_in(0)
    storage.impute()
    assert [each.state for each in storage.get_all_trials(0)] == [Shown.RUNNING]


def branin(parameters: Parameters) -> float:
    x, y = float(parameters["x"]), float(parameters["y"])
    return (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


async def diverged(sampler: SamplerName, outcome: Outcome) -> int:
    """How many of 28 trials fail, one by one, where those beyond the edge do."""

    def end(_number: int, parameters: Parameters) -> End:
        beyond = float(parameters["x"]) > EDGE
        return End(state=TrialState.FAIL, outcome=outcome) if beyond else End(value=-branin(parameters))

    asked = replace(problem(PLANE, sampler=sampler), parallelism=1)
    record = await Simulation(InlineSearcher(), asked, end, seed=1).until(28)
    return sum(float(each.parameters["x"]) > EDGE for each in record.trials)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
async def test_parameters_that_diverge_are_left_alone_after_a_while(sampler: SamplerName) -> None:
    assert await diverged(sampler, Outcome.INFEASIBLE) < await diverged(sampler, Outcome.DISRUPTED)
