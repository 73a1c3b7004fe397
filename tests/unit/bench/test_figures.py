from __future__ import annotations

import math
from dataclasses import replace

import pytest
from bench.orchestration.audit import Request
from bench.orchestration.figures import percentile, trials_of

END = ("pods/status", "end-of-trial")


def created(trial: int, at: float, study: str = "digits") -> Request:
    return Request(
        user="operator",
        verb="create",
        resource="jobs",
        namespace="bench",
        name=f"{study}-0123abcd-{trial}-0",
        manager="",
        rehearsal=False,
        code=201,
        at=at,
    )


def ended(trial: int, at: float) -> Request:
    return Request(
        user="node",
        verb="patch",
        resource="pods/status",
        namespace="bench",
        name=f"digits-0123abcd-{trial}-0-x7k2p",
        manager="end-of-trial",
        rehearsal=False,
        code=200,
        at=at,
    )


def turnarounds(*requests: Request, parallelism: int) -> list[float]:
    return trials_of(requests, ender="node", end=END).turnarounds(parallelism)


def test_each_job_beyond_the_first_fills_the_place_of_the_earliest_end() -> None:
    begun = [created(0, 1.0), created(1, 1.5), created(2, 4.0), created(3, 7.0)]
    assert turnarounds(*begun, ended(1, 3.0), ended(0, 3.5), parallelism=2) == [1.0, 3.5]


def test_places_of_one_study_are_not_filled_by_another() -> None:
    requests = [created(0, 1.0), ended(0, 2.0), created(0, 2.5, "lion"), created(1, 5.0)]
    assert turnarounds(*requests, parallelism=1) == [3.0]


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(replace(created(1, 2.5), rehearsal=True), id="a dry run creates nothing"),
        pytest.param(replace(created(1, 2.5), code=409), id="a refused request creates nothing"),
        pytest.param(replace(ended(0, 1.5), manager=""), id="a Pod that begins to run has not ended"),
    ],
)
def test_what_changes_nothing_counts_for_nothing(nothing: Request) -> None:
    assert turnarounds(created(0, 1.0), nothing, ended(0, 2.0), created(1, 3.0), parallelism=1) == [1.0]


def test_seconds_go_from_the_first_job_to_the_last_end() -> None:
    trials = trials_of([created(0, 1.0), ended(0, 2.0), created(1, 3.0), ended(1, 7.0)], ender="node", end=END)
    assert (trials.count, trials.seconds) == (2, 6.0)


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (75, 3.0), (76, 4.0), (99, 4.0), (100, 4.0)])
def test_a_percentile_is_a_value_that_occurred(percent: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == value


def test_without_values_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 50))
