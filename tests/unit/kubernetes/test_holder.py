"""Whose Pod it is, and how many attempts of each study live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.unit.kubernetes.objects import NAMESPACE, NOON, STUDY_UID, condition, filled, job, pod, running, terminated

from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind
from tuning_operator.runtime.kubernetes.names import RELEASED_LABEL, STUDY_UID_LABEL, TRIAL_LABEL
from tuning_operator.runtime.kubernetes.views import StudyKey
from tuning_operator.runtime.protocol import AttemptKey

STUDY: Final = StudyKey(NAMESPACE, STUDY_UID)
KEY: Final = AttemptKey(3, 0)
NOW: Final = NOON + 100
PLACED: Final = condition("PodScheduled", "", at=5)

Raw = dict[str, Any]


def changed(raw: Raw, change: Callable[[Raw], object]) -> Raw:
    change(raw["metadata"])
    return raw


def test_a_pod_is_known_by_the_job_that_controls_it() -> None:
    cache = filled(
        jobs=(job(), job(uid="job-2", trial=4)), pods=(pod("Running"), pod("Running", uid="pod-2", job_uid="job-2", trial=4))
    )
    assert cache.holder(NAMESPACE, "pod-1") == (STUDY, KEY)
    assert cache.holder(NAMESPACE, "pod-2") == (STUDY, AttemptKey(4, 0))


@pytest.mark.parametrize(
    ("jobs", "made"),
    [
        pytest.param(
            (job(),), changed(pod("Running"), lambda meta: meta.pop("ownerReferences")), id="a Pod that nobody controls"
        ),
        pytest.param((job(),), pod("Running", job_uid="job-of-somebody"), id="a Pod of a Job that is none of ours"),
        pytest.param(
            (changed(job(), lambda meta: meta["ownerReferences"].clear()),),
            pod("Running"),
            id="a Pod of a Job that no study controls",
        ),
        pytest.param((job(study_uid="another"),), pod("Running"), id="a Pod of a Job whose study is another than its labels say"),
        pytest.param((job(),), pod("Running", trial=4), id="a Pod that claims to be another trial than its Job"),
        pytest.param((job(),), pod("Running", attempt=1), id="a Pod that claims to be another attempt than its Job"),
        pytest.param(
            (job(),),
            changed(pod("Running"), lambda meta: meta["labels"].update({STUDY_UID_LABEL: "another"})),
            id="a Pod that claims to be of another study than its Job",
        ),
        pytest.param(
            (job(),), changed(pod("Running"), lambda meta: meta["labels"].pop(TRIAL_LABEL)), id="a Pod without our labels"
        ),
        pytest.param(
            (job(),), changed(pod("Running"), lambda meta: meta.update(namespace="elsewhere")), id="a Pod of another namespace"
        ),
        pytest.param((), pod("Running"), id="a Pod whose Job is gone"),
    ],
)
def test_a_pod_that_only_looks_like_one_of_ours_is_nobody(jobs: tuple[Raw, ...], made: Raw) -> None:
    cache = filled(jobs=jobs, pods=(made,))
    assert cache.holder(NAMESPACE, "pod-1") is None
    assert cache.holder("elsewhere", "pod-1") is None


def test_a_pod_is_nobody_in_another_namespace_than_its_own() -> None:
    assert filled(jobs=(job(),), pods=(pod("Running"),)).holder("elsewhere", "pod-1") is None


def test_a_pod_that_is_not_known_is_nobody() -> None:
    assert filled(jobs=(job(),)).holder(NAMESPACE, "pod-1") is None


def test_a_forged_pod_takes_nothing_from_the_real_one() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Running"), pod("Running", uid="pod-forged", job_uid="job-of-somebody", created=70)))
    assert cache.holder(NAMESPACE, "pod-1") == (STUDY, KEY)
    assert cache.holder(NAMESPACE, "pod-forged") is None


def test_a_pod_of_a_released_job_is_nobody_any_more() -> None:
    released = changed(job(version=2), lambda meta: meta["labels"].update({RELEASED_LABEL: "true"}))
    cache = filled(jobs=(job(),), pods=(pod("Running"),))
    cache.apply(Kind.JOB, released)
    assert cache.holder(NAMESPACE, "pod-1") is None


def test_attempts_that_have_not_ended_are_counted_for_their_studies() -> None:
    released = changed(job(uid="job-4", trial=4), lambda meta: meta["labels"].update({RELEASED_LABEL: "true"}))
    cache = filled(
        jobs=(job(uid="job-1", trial=1), job(uid="job-2", trial=2), job(uid="job-3", trial=3), released),
        pods=(
            pod("Running", running(), uid="pod-1", job_uid="job-1", trial=1, conditions=(PLACED,)),
            pod("Succeeded", terminated(0), uid="pod-2", job_uid="job-2", trial=2, conditions=(PLACED,)),
        ),
    )
    assert cache.live(NOW) == {STUDY: 2}  # one runs, one waits for its Pod; one has ended, one is released


def test_a_study_of_which_nothing_lives_is_counted_with_none() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Failed", terminated(1)),))
    assert cache.live(NOW) == {STUDY: 0}
    assert ClusterCache().live(NOW) == {}
