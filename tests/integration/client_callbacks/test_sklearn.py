"""Cross-validation of scikit-learn estimators as a trial."""

from __future__ import annotations

import json
import signal
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold
from sklearn.model_selection import cross_val_score as scores_of
from sklearn.tree import DecisionTreeClassifier
from tests.integration.client_callbacks.conftest import PRUNE, once_told_to_stop
from tests.unit.client.conftest import MakeTrial
from tests.unit.client.scripted_gateway import ScriptedGateway

import tuning_client
from tuning_client.sklearn import cross_val_score

X, Y = load_iris(return_X_y=True)
TREE = DecisionTreeClassifier(max_depth=1, random_state=0)


def test_the_result_has_mean_deviation_and_each_fold(make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path) -> None:
    scores = cross_val_score(make_trial(), TREE, X, Y, cv=3, scoring="balanced_accuracy")
    assert scores == pytest.approx(list(scores_of(TREE, X, Y, cv=3, scoring="balanced_accuracy")))
    assert json.loads(result_file.read_text()) == pytest.approx(
        {
            "val_accuracy": statistics.fmean(scores),
            "val_accuracy_stddev": statistics.stdev(scores),
            "val_accuracy_fold_0": scores[0],
            "val_accuracy_fold_1": scores[1],
            "val_accuracy_fold_2": scores[2],
        }
    )
    assert [step for step, _ in gateway.points] == [0, 1_000_000, 2_000_000]
    assert [value for _, value in gateway.points] == pytest.approx(scores)


def test_one_fold_alone_has_its_value_alone(make_trial: MakeTrial, result_file: Path) -> None:
    scores = cross_val_score(make_trial(TUNING_FOLD="2"), TREE, X, Y, cv=3)
    assert scores == [pytest.approx(scores_of(TREE, X, Y, cv=3)[2])]
    assert json.loads(result_file.read_text()) == {"val_accuracy": scores[0]}


def test_folds_that_the_study_asks_for_are_made(make_trial: MakeTrial) -> None:
    assert len(cross_val_score(make_trial(TUNING_FOLDS="4"), TREE, X, Y)) == 4
    assert len(cross_val_score(make_trial(), TREE, X, Y)) == 5


def test_a_fold_that_there_is_not_is_named(make_trial: MakeTrial) -> None:
    with pytest.raises(tuning_client.ConfigurationError, match="TUNING_FOLD is 3, but there are 3 folds; the last is 2"):
        cross_val_score(make_trial(TUNING_FOLD="3"), TREE, X, Y, cv=3)


def test_groups_stay_together(make_trial: MakeTrial) -> None:
    groups = np.arange(len(Y)) // 10
    seen: list[Any] = []

    def scorer(_: Any, rows: Any, __: Any) -> float:
        seen.append({tuple(row) for row in rows})
        return 0.5

    cross_val_score(make_trial(), TREE, np.c_[groups], Y, groups=groups, cv=GroupKFold(3), scoring=scorer)
    assert [len(fold) for fold in seen] == [5, 5, 5]
    assert len(set.union(*seen)) == 15


def test_a_regressor_is_scored_by_itself_without_a_scorer(make_trial: MakeTrial) -> None:
    features, target = X[:, :3], X[:, 3]
    scores = cross_val_score(make_trial(), LinearRegression(), features, target, cv=4)
    assert scores == pytest.approx(list(scores_of(LinearRegression(), features, target, cv=4)))


def test_a_hopeless_trial_ends_after_a_fold(make_trial: MakeTrial, gateway: ScriptedGateway, result_file: Path) -> None:
    gateway.answer = lambda _: PRUNE
    fitted: list[Any] = []

    class Slow(DummyClassifier):  # type: ignore[misc]  # scikit-learn has no types
        def fit(self, rows: Any, targets: Any) -> Any:
            if fitted:
                once_told_to_stop(trial)()
            fitted.append(rows)
            return super().fit(rows, targets)

    with make_trial() as trial:
        cross_val_score(trial, Slow(), X, Y, cv=5)
    assert len(fitted) == 2
    assert json.loads(result_file.read_text()) == {"pruned": True, "val_accuracy": pytest.approx(1 / 3)}


def test_an_interrupted_trial_leaves_after_a_fold_to_be_run_again(make_trial: MakeTrial, result_file: Path) -> None:
    def scorer(*_: Any) -> float:
        signal.raise_signal(signal.SIGTERM)
        return 0.5

    with pytest.raises(SystemExit) as left, make_trial() as trial:
        cross_val_score(trial, TREE, X, Y, cv=3, scoring=scorer)
    assert left.value.code == tuning_client.INTERRUPTED_EXIT_CODE
    assert not result_file.exists()


def test_a_fit_that_fails_fails_the_trial(make_trial: MakeTrial, result_file: Path) -> None:
    with pytest.raises(ValueError, match="max_depth"), make_trial() as trial:
        cross_val_score(trial, DecisionTreeClassifier(max_depth=0), X, Y, cv=3)
    assert not result_file.exists()


def test_it_works_by_hand(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNING_TRIAL", raising=False)
    with tuning_client.trial() as trial:
        cross_val_score(trial, TREE, X, Y, cv=2)
    assert capsys.readouterr().out.splitlines()[-1].startswith("result: value=")
