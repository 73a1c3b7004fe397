"""What the test set says of the winner and the defaults, and how sure that is."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.support.simulated_world import METRIC, TEST_METRIC
from tests.support.studies import study_spec

from tuning_operator.engine.facts import Attempt, Ended, Outcome, Role, StudyFacts, Trial, TrialState, Verdict
from tuning_operator.engine.final_evaluation import FinalFigures, epochs, figures
from tuning_operator.engine.row_scores import scores_of

ROWS = 400


def run(number: int, role: Role, value: float | None, *, rows: Sequence[int] | None = None, **metrics: float) -> Trial:
    notes: Mapping[str, str] = {}
    if rows is not None:
        packed = int("".join(map(str, rows)).ljust(-(-len(rows) // 8) * 8, "0"), 2).to_bytes(-(-len(rows) // 8), "big")
        notes = {"test_fingerprint": "abc", "test_scores": f"correct:bits:{base64.b64encode(packed).decode()}"}
        metrics |= {"test_rows": float(len(rows))}
    ended = Ended(outcome=Outcome.SUCCEEDED, at=2.0, reason="Completed", metrics=metrics, notes=notes)
    return Trial(
        number=number,
        role=role,
        parameters={"learning_rate": 0.001 if role is Role.BASELINE or (role is Role.FINAL and number % 2) else 0.01},
        seed=number,
        claimed_at=1.0,
        attempts=(Attempt(number=0, generation=1, claimed_at=1.0, ended=ended),),
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        finished_at=2.0,
        metrics=metrics,
    )


def evaluated(finals: Sequence[Trial], *, metric: str = TEST_METRIC, direction: str = "maximize") -> FinalFigures:
    """Of a baseline run, a search trial, two fresh runs and these final ones."""
    values = ((Role.BASELINE, 0.8), (Role.SEARCH, 0.95), (Role.CONFIRM, 0.92), (Role.CONFIRM, 0.92))
    before = [run(number, role, value) for number, (role, value) in enumerate(values)]
    end = Verdict(succeeded=True, reason="MaxTrialsReached", message="", at=2.0)
    spec = study_spec(
        objectives=[{"metric": METRIC, "direction": direction}],
        baseline={"repeats": 1},
        budget={"maxTrials": 1},
        confirmation={"repeats": 2},
        finalEvaluation={"metric": metric, "repeats": len(finals) // 2},
    )
    numbered = tuple(replace(trial, number=4 + place) for place, trial in enumerate(finals))
    found = figures(StudyFacts(spec=spec, generation=1, began_at=0.0, trials=(*before, *numbered), search_end=end))
    assert found is not None
    return found


def pairs(winner: Sequence[float | None], defaults: Sequence[float | None], *, rows: int | None = None) -> list[Trial]:
    """Final runs that reached these values, in turn."""
    turns = [value for both in zip(winner, defaults, strict=True) for value in both]
    metrics = {} if rows is None else {"test_rows": float(rows)}
    return [replace(run(place, Role.FINAL, value), metrics=metrics) for place, value in enumerate(turns)]


def rows_of(right: int) -> list[int]:
    return [1] * right + [0] * (ROWS - right)


def scored(winner: Sequence[Sequence[int]], defaults: Sequence[Sequence[int]]) -> list[Trial]:
    turns = [rows for both in zip(winner, defaults, strict=True) for rows in both]
    return [run(place, Role.FINAL, sum(rows) / len(rows), rows=rows) for place, rows in enumerate(turns)]


def test_scores_by_row_make_a_difference_of_the_same_rows_sure() -> None:
    found = evaluated(scored([rows_of(388)] * 3, [rows_of(360)] * 3))
    assert found.outcome == "Better"
    assert (found.best, found.baseline) == pytest.approx((0.97, 0.9))
    assert found.interval is not None
    spread = (0.07 * 0.93 * ROWS / (ROWS - 1) / ROWS) ** 0.5
    assert found.interval.low == pytest.approx(0.07 - 1.959966 * spread, rel=1e-5)


def test_without_scores_by_row_the_same_difference_is_less_sure_and_that_is_said() -> None:
    found = evaluated(pairs([0.97] * 3, [0.9] * 3, rows=ROWS))
    by_row = evaluated(scored([rows_of(388)] * 3, [rows_of(360)] * 3))
    assert found.interval is not None
    assert by_row.interval is not None
    assert found.interval.low < by_row.interval.low
    assert "scores by row are missing" in found.message


def test_without_even_the_number_of_rows_the_verdict_is_for_this_test_set_alone() -> None:
    found = evaluated(pairs([0.96, 0.97, 0.98], [0.9, 0.91, 0.89]))
    assert found.outcome == "Better"
    assert "for this test set alone" in found.message


def test_a_winner_that_is_worse_than_the_defaults_is_said_so() -> None:
    found = evaluated(scored([rows_of(300)] * 2, [rows_of(380)] * 2))
    assert found.outcome == "Worse"
    assert "keep the defaults" in found.message


def test_what_cannot_be_told_apart_says_which_gain_would_not_have_been_seen() -> None:
    found = evaluated(pairs([0.90, 0.94], [0.91, 0.91]))
    assert found.outcome == "Inconclusive"
    assert "would not have been seen" in found.message


def test_of_a_loss_less_is_better() -> None:
    found = evaluated(pairs([0.10, 0.11], [0.50, 0.51]), metric="test_loss", direction="minimize")
    assert found.outcome == "Better"
    assert found.gain == pytest.approx(0.4)


def test_one_run_each_without_scores_cannot_be_tested() -> None:
    found = evaluated(pairs([0.99], [0.5]))
    assert (found.outcome, found.interval) == ("Inconclusive", None)
    assert "cannot be tested" in found.message


def test_where_no_run_gave_a_value_there_is_nothing_to_compare() -> None:
    found = evaluated(pairs([None, None], [0.5, 0.6]))
    assert (found.outcome, found.best) == ("Inconclusive", None)
    assert found.baseline == pytest.approx(0.55)
    assert "no final run of the winner gave a value" in found.message


def test_the_validation_gap_is_between_fresh_runs_and_the_test() -> None:
    assert evaluated(pairs([0.9, 0.9], [0.8, 0.8])).validation_gap == pytest.approx(0.02)
    assert evaluated(pairs([0.9, 0.9], [0.8, 0.8]), metric="test_f1").validation_gap is None


def test_scores_that_are_not_the_metrics_are_not_used() -> None:
    finals = scored([rows_of(388)] * 2, [rows_of(360)] * 2)
    other = [replace(trial, value=(trial.value or 0.0) ** 0.5) for trial in finals]
    assert "for this test set alone" in evaluated(other, metric="test_f1").message


@pytest.mark.parametrize(
    "note",
    ["", "correct", "correct:bits:", "correct:bits:!!!", "correct:bits:AA==", "loss:float32:AAAA", "loss:float64:AAAAAAAAAAA="],
    ids=["nothing", "no kind", "no scores", "no base64", "too few rows", "half a number", "another kind"],
)
def test_scores_that_cannot_be_read_are_none(note: str) -> None:
    trial = run(0, Role.FINAL, 0.5, rows=rows_of(200))
    ended = trial.last.ended
    assert ended is not None
    attempt = replace(trial.last, ended=replace(ended, notes={"test_fingerprint": "abc", "test_scores": note}))
    assert scores_of(replace(trial, attempts=(attempt,))) is None


def test_scores_that_are_numbers_are_read_in_the_order_of_the_rows() -> None:
    text = base64.b64encode(struct.pack("<3f", 0.5, 0.25, 4.0)).decode()
    ended = Ended(
        outcome=Outcome.SUCCEEDED,
        at=2.0,
        reason="Completed",
        notes={"test_fingerprint": "abc", "test_scores": f"loss:float32:{text}"},
    )
    attempt = Attempt(number=0, generation=1, claimed_at=1.0, ended=ended)
    found = scores_of(replace(run(0, Role.FINAL, 1.5), attempts=(attempt,), metrics={"test_rows": 3.0}))
    assert found is not None
    assert (found.name, found.values) == ("loss", (0.5, 0.25, 4.0))


def test_final_runs_train_as_long_as_the_best_epochs_of_like_runs_were_on_average() -> None:
    trials = [
        run(0, Role.BASELINE, 0.8, best_epoch=7.0),
        run(1, Role.BASELINE, 0.8, best_epoch=10.0),
        run(2, Role.SEARCH, 0.9, best_epoch=30.0),
    ]
    assert epochs(trials, trials[0].parameters) == 8
    assert epochs(trials, trials[2].parameters) == 30
    confirmed = [*trials, run(3, Role.CONFIRM, 0.9, best_epoch=20.0)]
    assert epochs(confirmed, trials[2].parameters) == 20, "fresh runs say it better"
    assert epochs([run(0, Role.BASELINE, 0.8)], trials[0].parameters) is None


def test_of_equally_good_models_hardly_any_is_called_better() -> None:
    noise = random.Random(3)
    studies, better = 200, 0
    for _ in range(studies):
        difficulty = [noise.random() for _ in range(ROWS)]

        def trained(which: list[float]) -> list[int]:
            seed = noise.gauss(0, 0.01)
            return [int(noise.random() < 0.9 + seed + 0.1 * (hard - 0.5)) for hard in which]

        ours, theirs = ([noise.random() for _ in range(ROWS)] for _ in range(2))
        winner = [trained([(a + d) / 2 for a, d in zip(ours, difficulty, strict=True)]) for _ in range(3)]
        defaults = [trained([(a + d) / 2 for a, d in zip(theirs, difficulty, strict=True)]) for _ in range(3)]
        better += evaluated(scored(winner, defaults)).outcome == "Better"
    assert better <= 0.05 * studies
