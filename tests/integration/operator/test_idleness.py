"""A study about which nothing happens costs nothing: no look, no request, no write."""

from __future__ import annotations

import json
from functools import partial

from tests.cluster.waiting import until
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.operator_process import OperatorProcess
from tests.integration.operator.team import PATIENCE, Team, study

from tuning_operator.controller.publishing import apply_document, status_of

LOOKS = "tuning_reconcile_duration_seconds_count"
HEARD = "tuning_operator_last_watch_event_timestamp_seconds"
WRITES = 'tuning_status_writes_total{result="written"}'


def settled(operator: OperatorProcess, team: Team) -> tuple[float, float, str]:
    """Looks, writes and status of the study once the operator has heard all that was said of it until now."""
    heard = operator.metric(HEARD)
    # Events of one object come in order: behind this one there is none of before.
    team.space.kubectl("annotate", "tuningstudy", "digits", f"heard={heard}", "--overwrite")
    until(lambda: operator.metric(HEARD) > heard, seconds=PATIENCE, what="the operator hears of it")
    # A look is counted at its end, and the write within it before.
    until(lambda: operator.metric(LOOKS) >= operator.metric(WRITES), seconds=PATIENCE, what="every look is counted")
    return operator.metric(LOOKS), operator.metric(WRITES), json.dumps(team.status())


def test_an_edit_is_one_look_and_one_write_and_our_own_writes_wake_nobody(team: Team, start_operator: StartOperator) -> None:
    operator = start_operator()
    team.apply(study(suspend=True))
    team.wait_condition("Suspended", "True", "SuspendedByUser")
    looks, writes, _ = settled(operator, team)
    for more in range(1, 6):
        team.patch({"budget": {"maxTrials": 10 + more}})
        until(lambda: said_of_newest(team), seconds=PATIENCE, what="the status answers the edit")
    assert settled(operator, team)[:2] == (looks + 5, writes + 5)


def said_of_newest(team: Team) -> bool:
    found = team.study()
    return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


def test_what_others_write_on_a_study_is_not_looked_at(team: Team, start_operator: StartOperator) -> None:
    operator = start_operator()
    team.apply(study(suspend=True))
    team.wait_condition("Suspended", "True", "SuspendedByUser")
    looks, writes, _ = settled(operator, team)
    for _ in range(3):
        assert settled(operator, team)[:2] == (looks, writes)


def test_figures_that_time_alone_moves_are_not_written_at_every_look(team: Team, start_operator: StartOperator) -> None:
    operator = start_operator()
    team.apply(study(budget__maxTrials=1))
    (pod,) = team.run((0, 0))
    team.wait_counts(running=1)
    looks, writes, status = settled(operator, team)
    for note in range(1, 6):
        # Each change of a trial's Pod is looked at, and meanwhile the trial has cost more.
        team.space.kubectl("annotate", "pod", pod, f"note={note}", "--overwrite")
        until(partial(has_looked, operator, looks + note), seconds=PATIENCE, what="the operator looks")
    assert settled(operator, team) == (looks + 5, writes, status)


def test_the_server_keeps_a_status_as_it_is_written_so_that_its_event_is_known_for_ours(
    team: Team, start_operator: StartOperator
) -> None:
    start_operator()
    team.apply(study(baseline__repeats=1, budget__maxTrials=3))
    team.work_until_finished(value=lambda number: number / 7)
    found = team.study()
    status = status_of(found)
    assert status is not None
    assert apply_document(found, status)["status"] == found["status"]


def has_looked(operator: OperatorProcess, times: float) -> bool:
    return operator.metric(LOOKS) >= times


def test_a_finished_study_is_let_go_of(team: Team, start_operator: StartOperator) -> None:
    operator = start_operator()
    team.apply(study())
    team.wait_pods((0, 0), (1, 0))
    assert operator.metric("tuning_operator_open_studies") == 1
    team.work_until_finished()
    until(lambda: operator.metric("tuning_operator_open_studies") == 0, seconds=PATIENCE, what="the study is closed")
    # Its Jobs and Pods change on, and nobody opens it for that.
    _, writes, status = settled(operator, team)
    team.space.kubectl("delete", "jobs", "--all", "--wait=false")
    team.obey_until_nothing_is_left()
    assert settled(operator, team)[1:] == (writes, status)
    assert operator.metric("tuning_operator_open_studies") == 0
