"""What is said of a study in the cluster, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.studies import study_spec
from tests.unit.controller.studies import UID, study

from tuning_operator.api.constants import API_VERSION
from tuning_operator.api.status import (
    BaselineStatus,
    BestTrial,
    SearchStatus,
    StatusCondition,
    StudyStatus,
    TrialCounts,
    Usage,
)
from tuning_operator.controller.publishing import (
    COUNTS_SECONDS,
    FIGURES_SECONDS,
    Announcement,
    announcements,
    apply_document,
    due_at,
    event_document,
    status_of,
)
from tuning_operator.engine.facts import SamplerChoice, StudyCause, StudyFacts, Verdict
from tuning_operator.engine.status import project, project_refused

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CHOICE = SamplerChoice(sampler="gp", reason="numeric space")


def condition(kind: Any, status: Any, reason: str, message: str = "") -> StatusCondition:
    return StatusCondition(type=kind, status=status, reason=reason, message=message, last_transition_time=NOON)


def status(*conditions: StatusCondition, **fields: Any) -> StudyStatus:
    return StudyStatus(observed_generation=1, phase="Running", conditions=conditions).model_copy(update=fields)


def facts(**changes: Any) -> StudyFacts:
    suspend = changes.pop("suspend", False)
    return StudyFacts(spec=study_spec(suspend=suspend), generation=1, began_at=NOON.timestamp(), **changes)


def projected(**changes: Any) -> StudyStatus:
    return project(facts(**changes), NOON.timestamp(), choice=CHOICE)


SEARCHING = condition("Reconciling", "True", "Searching")
STANDING = status(SEARCHING, trials=TrialCounts(progress="3/8", running=2), usage=Usage(trial_hours=1.5))

# Reading


@pytest.mark.parametrize(
    "written",
    [
        pytest.param({}, id="none"),
        pytest.param({"status": {}}, id="an empty one"),
        pytest.param({"status": None}, id="null"),
        pytest.param({"status": {"phase": "Fine"}}, id="one with a word that is not ours"),
        pytest.param({"status": {"observedGeneration": "1"}}, id="one of another shape"),
    ],
)
def test_a_status_that_is_not_one_of_ours_is_none(written: dict[str, Any]) -> None:
    assert status_of(study() | written) is None


def test_a_status_is_read_as_it_was_written() -> None:
    """Otherwise it would be written again and again."""
    best = BestTrial(trial=2, value=1.0, parameters={"lr": 0.1 + 0.2, "momentum": 1.0, "batch": 64, "optimizer": "adam"})
    written = projected().model_copy(update={"best": best, "top": (best,), "estimated_completion": NOON})
    document = as_go_writes_numbers(apply_document(study(), written))
    assert status_of(document) == written


def as_go_writes_numbers(value: Any) -> Any:
    """The API server gives 1.0 back as 1."""
    match value:
        case dict():
            return {key: as_go_writes_numbers(item) for key, item in value.items()}
        case list():
            return [as_go_writes_numbers(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


# When to write


@pytest.mark.parametrize(
    ("published", "now", "after"),
    [
        pytest.param(STANDING, STANDING, None, id="what stands is not written again"),
        pytest.param(None, STANDING, 0, id="the first status is written at once"),
        pytest.param(
            STANDING, STANDING.model_copy(update={"observed_generation": 2}), 0, id="that an edit was seen is written at once"
        ),
        pytest.param(STANDING, STANDING.model_copy(update={"phase": "Suspended"}), 0, id="a phase is written at once"),
        pytest.param(
            STANDING,
            STANDING.model_copy(update={"conditions": (condition("Stalled", "True", "ImageNotPulled"),)}),
            0,
            id="a condition is written at once",
        ),
        pytest.param(
            STANDING,
            STANDING.model_copy(update={"trials": TrialCounts(progress="4/8", running=2)}),
            COUNTS_SECONDS,
            id="counts are written after a second",
        ),
        pytest.param(
            STANDING,
            STANDING.model_copy(update={"best": BestTrial(trial=1, value=0.9, parameters={})}),
            COUNTS_SECONDS,
            id="a better trial is written after a second",
        ),
        pytest.param(
            STANDING,
            STANDING.model_copy(update={"usage": Usage(trial_hours=1.6)}),
            FIGURES_SECONDS,
            id="hours are written after a minute",
        ),
        pytest.param(
            STANDING,
            STANDING.model_copy(update={"estimated_completion": NOON}),
            FIGURES_SECONDS,
            id="an estimate is written after a minute",
        ),
    ],
)
def test_what_people_wait_for_is_written_sooner_than_what_moves_all_the_time(
    published: StudyStatus | None, now: StudyStatus, after: float | None
) -> None:
    assert due_at(published, now, 1000.0) == (None if after is None else 1000.0 + after)


def test_a_status_is_applied_to_the_version_that_was_seen() -> None:
    document = apply_document(study(version=7), STANDING)
    assert document["apiVersion"] == API_VERSION
    assert document["kind"] == "TuningStudy"
    assert document["metadata"] == {"name": "digits", "namespace": "research", "resourceVersion": "7"}
    assert document["status"]["observedGeneration"] == 1
    assert "best" not in document["status"], "what there is not yet is not said"
    assert document["status"]["conditions"][0]["lastTransitionTime"] == "2026-11-23T12:00:00Z"
    json.dumps(document)


# What is announced


def reasons(before: StudyStatus | None, after: StudyStatus) -> list[str]:
    return [said.reason for said in announcements(before, after)]


ACCEPTED = projected()
BASELINE = BaselineStatus(value=0.91, stddev=0.0123456, repeats=3)
SEARCH = SearchStatus(sampler="gp", reason="numeric space")
PULL = StudyCause(reason="ImageNotPulled", message="not found", object="Pod/digits-0")
QUOTA = StudyCause(reason="QuotaExceeded", message="no GPUs left", object="ResourceQuota/team")
WON = Verdict(succeeded=True, reason="MaxTrialsReached", message="8 of 8 trials", at=NOON.timestamp())
LOST = Verdict(succeeded=False, reason="TooManyFailedTrials", message="3 failed", at=NOON.timestamp())
REFUSED = project_refused(StudyCause(reason="InvalidSpec", message="no"), NOON.timestamp(), generation=1)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(None, ACCEPTED, ["Accepted"], id="a study is accepted once"),
        pytest.param(StudyStatus(), ACCEPTED, ["Accepted"], id="also where the API server gave it an empty status"),
        pytest.param(ACCEPTED, ACCEPTED, [], id="what was said is not said again"),
        pytest.param(None, REFUSED, ["Stalled"], id="a study that cannot begin is not accepted"),
        pytest.param(REFUSED, ACCEPTED, ["Accepted", "Mended"], id="it is once it can"),
        pytest.param(ACCEPTED, projected(suspend=True), ["Suspended"], id="suspended"),
        pytest.param(projected(suspend=True), ACCEPTED, ["Resumed"], id="resumed"),
        pytest.param(None, projected(suspend=True), ["Accepted", "Suspended"], id="a study may be suspended from its begin"),
        pytest.param(ACCEPTED, projected(causes=(PULL,)), ["Stalled"], id="stalled"),
        pytest.param(projected(causes=(PULL,)), projected(causes=(QUOTA,)), ["Stalled"], id="stalled for another reason"),
        pytest.param(
            projected(causes=(PULL,)),
            projected(causes=(StudyCause(reason="ImageNotPulled", message="not found", object="Pod/digits-1"),)),
            [],
            id="still stalled for the same reason",
        ),
        pytest.param(projected(causes=(PULL,)), ACCEPTED, ["Mended"], id="mended"),
        pytest.param(ACCEPTED, projected(verdict=WON), ["Succeeded"], id="succeeded"),
        pytest.param(ACCEPTED, projected(verdict=LOST), ["Failed"], id="failed is not stalled as well"),
        pytest.param(
            projected(suspend=True),
            projected(suspend=True, verdict=WON),
            ["Succeeded"],
            id="a suspended study that ends was not resumed",
        ),
        pytest.param(
            projected(causes=(PULL,)), projected(verdict=WON), ["Succeeded"], id="a stalled study that ends was not mended"
        ),
    ],
)
def test_each_change_that_people_wait_for_is_announced_once(
    before: StudyStatus | None, after: StudyStatus, said: list[str]
) -> None:
    assert reasons(before, after) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(
            TrialCounts(progress="0/8"),
            TrialCounts(progress="0/8", pending=1),
            True,
            id="when the first search trial waits for a place",
        ),
        pytest.param(TrialCounts(progress="0/8"), TrialCounts(progress="0/8", running=1), True, id="when it runs"),
        pytest.param(TrialCounts(progress="0/8"), TrialCounts(progress="1/8"), True, id="when it has ended already"),
        pytest.param(TrialCounts(progress="0/8"), TrialCounts(progress="0/8"), False, id="not before"),
        pytest.param(TrialCounts(progress="0/8", running=1), TrialCounts(progress="1/8", running=1), False, id="not later"),
        pytest.param(
            TrialCounts(progress="9/80"), TrialCounts(progress="10/80"), False, id="not because of a number with a zero"
        ),
    ],
)
def test_what_the_defaults_reach_is_announced_when_the_search_begins(
    before: TrialCounts, after: TrialCounts, *, said: bool
) -> None:
    old, new = (status(SEARCHING, trials=counts, baseline=BASELINE, search=SEARCH) for counts in (before, after))
    assert reasons(old, new) == (["BaselineKnown"] if said else [])


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (BASELINE, "the defaults reach 0.91 (mean of 3, standard deviation 0.0123)"),
        (BaselineStatus(value=0.91, repeats=1), "the defaults reach 0.91 (mean of 1)"),
    ],
)
def test_the_baseline_is_announced_in_figures_for_people(baseline: BaselineStatus, words: str) -> None:
    after = status(SEARCHING, trials=TrialCounts(progress="0/8", running=1), baseline=baseline, search=SEARCH)
    [said] = announcements(status(search=SEARCH), after)
    assert (said.type, said.message) == ("Normal", words)


def test_without_a_baseline_none_is_announced() -> None:
    after = status(SEARCHING, trials=TrialCounts(progress="0/8", running=1), search=SEARCH)
    assert reasons(status(search=SEARCH), after) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (projected(), Announcement(type="Normal", reason="Accepted", message="sampler gp: numeric space")),
        (
            projected(causes=(PULL,)),
            Announcement(type="Warning", reason="Stalled", message="ImageNotPulled: Pod/digits-0: not found"),
        ),
        (projected(verdict=WON), Announcement(type="Normal", reason="Succeeded", message="MaxTrialsReached: 8 of 8 trials")),
        (projected(verdict=LOST), Announcement(type="Warning", reason="Failed", message="TooManyFailedTrials: 3 failed")),
        (projected(suspend=True), Announcement(type="Normal", reason="Suspended", message="SuspendedByUser")),
    ],
    ids=lambda value: value.reason if isinstance(value, Announcement) else "",
)
def test_an_announcement_says_why(after: StudyStatus, said: Announcement) -> None:
    assert said in announcements(None, after)


def test_an_event_is_about_the_study_and_not_longer_than_the_api_server_keeps() -> None:
    said = Announcement(type="Warning", reason="Stalled", message="x" * 5000)
    event = event_document(study(version=7), said, NOON.timestamp() + 0.75)
    assert event["metadata"] == {"generateName": "digits.", "namespace": "research"}
    assert event["involvedObject"] == {
        "apiVersion": API_VERSION,
        "kind": "TuningStudy",
        "name": "digits",
        "namespace": "research",
        "uid": UID,
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], len(event["message"])) == ("Warning", "Stalled", 1024)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-23T12:00:00Z"
