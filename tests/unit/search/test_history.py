from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.unit.search.runs import trial
from tests.unit.search.spaces import COUNTABLE, problem

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Role, Trial, TrialState
from tuning_operator.search.history import Evaluation, Feed, Ledger, NeedHistory, Request, evaluation
from tuning_operator.search.problem import Problem, Suggestion
from tuning_operator.search.recent import Recent
from tuning_operator.search.worker import Worker

STUDY = problem(COUNTABLE)
HERE: Parameters = {"optimizer": "adam", "dropout": 0.25, "layers": 4}
THERE: Parameters = {"optimizer": "sgd", "dropout": 0.5, "layers": 7}


def told(number: int) -> Trial:
    return trial(number, HERE, TrialState.COMPLETE, 1.0)


def fed(request: Request) -> tuple[bool, list[int]]:
    return request.feed.base is None, [each.number for each in request.feed.evaluations]


@pytest.fixture
def ledger() -> Ledger:
    """Knows a worker that holds trials 0 (complete), 1 (running) and 2, just suggested."""
    ledger, trials = Ledger(), [told(0), trial(1, HERE)]
    ledger.answered(ledger.request(STUDY, trials, 2), Suggestion(HERE))
    return ledger


AS_HELD = [told(0), trial(1, HERE), trial(2, HERE)]


@pytest.mark.parametrize(
    ("study", "trials", "sent"),
    [
        pytest.param(STUDY, AS_HELD, (False, []), id="nothing when nothing happened"),
        pytest.param(STUDY, [told(0), told(1), trial(2, HERE)], (False, [1]), id="what finished"),
        pytest.param(STUDY, [*AS_HELD, trial(3, THERE)], (False, [3]), id="what is new"),
        pytest.param(STUDY, AS_HELD[:2], (True, [0, 1]), id="everything, when the suggested trial was never claimed"),
        pytest.param(STUDY, [*AS_HELD[:2], trial(2, THERE)], (True, [0, 1, 2]), id="everything, when its number went to others"),
        pytest.param(replace(STUDY, seed=1), AS_HELD, (True, [0, 1, 2]), id="everything, when the study is another one"),
        pytest.param(replace(STUDY, key="other"), AS_HELD, (True, [0, 1, 2]), id="everything of an unknown study"),
    ],
)
def test_a_question_carries(ledger: Ledger, study: Problem, trials: list[Trial], sent: tuple[bool, list[int]]) -> None:
    assert fed(ledger.request(study, trials, len(trials))) == sent


def test_a_question_carries_everything_on_demand(ledger: Ledger) -> None:
    assert fed(ledger.request(STUDY, AS_HELD, 3, whole=True)) == (True, [0, 1, 2])


def test_what_was_sent_is_not_sent_again(ledger: Ledger) -> None:
    trials = [told(0), told(1), trial(2, HERE), told(3), trial(4, THERE)]
    request = ledger.request(STUDY, trials, 5)
    assert fed(request) == (False, [1, 3, 4])
    ledger.answered(request, Suggestion(HERE))
    trials = [told(0), told(1), told(2), told(3), trial(4, THERE), trial(5, HERE)]
    assert fed(ledger.request(STUDY, trials, 6)) == (False, [2])


def test_what_got_no_answer_is_sent_again(ledger: Ledger) -> None:
    trials = [told(0), told(1), trial(2, HERE)]
    assert fed(ledger.request(STUDY, trials, 3)) == fed(ledger.request(STUDY, trials, 3)) == (False, [1])


def test_a_worker_that_lost_the_view_asks_for_the_history(ledger: Ledger) -> None:
    request = ledger.request(STUDY, AS_HELD, 3)
    assert Worker().answer(request) == NeedHistory()


def test_a_worker_never_continues_a_view_of_another_version() -> None:
    worker, ledger = Worker(), Ledger()
    first = ledger.request(STUDY, [], 0)
    assert isinstance(worker.answer(first), Suggestion)
    assert first.feed is not None
    stale = replace(first, number=1, feed=Feed(base=first.feed.version + 1, version=99, evaluations=()))
    assert worker.answer(stale) == NeedHistory()


def test_a_pruned_trial_is_known_by_its_last_finite_report() -> None:
    pruned = replace(told(0), state=TrialState.PRUNED, reports={1: 0.1, 3: math.nan, 2: 0.2})
    assert evaluation(pruned) == Evaluation(
        number=0,
        role=Role.SEARCH,
        state=TrialState.PRUNED,
        parameters=HERE,
        value=1.0,
        last_report=(2, 0.2),
        unfit=False,
        sampler_state={},
    )


def test_reports_of_a_running_trial_are_not_known() -> None:
    assert evaluation(replace(trial(0, HERE), reports={1: 0.1})) == evaluation(trial(0, HERE))


def test_what_was_used_longest_ago_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"] = 1, 2
    assert recent.get("a") == 1
    recent["c"] = 3
    assert (recent.get("a"), recent.get("b"), recent.get("c"), len(recent)) == (1, None, 3, 2)
