"""The cache: whatever happens to events on their way, it ends as the cluster is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kubernetes.objects import NAMESPACE, NOON, STUDY_UID, condition, filled, job, pod, running, terminated, waiting

from tuning_operator.engine.facts import Outcome, Phase
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind, Sight
from tuning_operator.runtime.kubernetes.causes import WarningEvent
from tuning_operator.runtime.kubernetes.names import RELEASED_LABEL
from tuning_operator.runtime.kubernetes.outcome import LINGER_SECONDS, LOST_AFTER_SECONDS
from tuning_operator.runtime.kubernetes.views import StudyKey
from tuning_operator.runtime.protocol import AttemptKey

STUDY: Final = StudyKey(NAMESPACE, STUDY_UID)
KEY: Final = AttemptKey(3, 0)
NOW: Final = NOON + 100
PLACED: Final = condition("PodScheduled", "", at=5)

Raw = dict[str, Any]


def phase(cache: ClusterCache) -> Phase | None:
    seen = cache.observe(STUDY, NOW).get(KEY)
    return seen.phase if seen else None


# What is observed


def test_a_job_without_a_pod_is_pending() -> None:
    assert phase(filled(jobs=(job(),))) is Phase.PENDING


def test_a_job_that_kueue_holds_back_is_pending() -> None:
    assert phase(filled(jobs=(job(suspend=True),))) is Phase.PENDING


def test_an_attempt_whose_pod_is_gone_still_had_its_place() -> None:
    here = pod("Running", running(), conditions=(PLACED,))
    cache = filled(jobs=(job(),), pods=(here,))
    assert phase(cache) is Phase.RUNNING
    cache.apply(Kind.POD, {"metadata": here["metadata"] | {"resourceVersion": "900"}}, deleted=True)
    cache.apply(Kind.JOB, job(condition("Failed", "BackoffLimitExceeded", "", at=70), version=901))
    cache.mark_podless(STUDY, KEY, "job-1")
    seen = cache.observe(STUDY, NOW)[KEY]
    assert (seen.phase, seen.started_at) == (Phase.ENDED, NOON + 5)


def test_a_job_that_has_ended_is_in_doubt_until_its_pod_is_heard_of() -> None:
    cache = filled(jobs=(job(condition("Complete", "", at=70)),))
    sight = cache.sights(STUDY, NOW)[KEY]
    assert (sight.doubt, sight.observation.ended) == (True, None)
    cache.apply(Kind.POD, pod("Succeeded", terminated(0, message='{"val_accuracy": 0.9}'), conditions=(PLACED,)))
    sight = cache.sights(STUDY, NOW)[KEY]
    assert sight.observation.ended is not None
    assert (sight.doubt, sight.observation.ended.outcome) == (False, Outcome.SUCCEEDED)


def test_a_job_without_a_pod_in_a_later_list_has_lost_it() -> None:
    cache = filled(jobs=(job(condition("Complete", "", at=70)),))
    cache.mark_podless(STUDY, KEY, "job-1")
    ended = cache.observe(STUDY, NOW)[KEY].ended
    assert ended is not None
    assert (ended.outcome, ended.reason) == (Outcome.DISRUPTED, "ResultLost")


def test_what_was_listed_of_one_job_says_nothing_of_another_of_its_name() -> None:
    cache = filled(jobs=(job(condition("Complete", "", at=70), uid="job-2", version=5),))
    cache.mark_podless(STUDY, KEY, "job-1")
    assert cache.sights(STUDY, NOW)[KEY].doubt


def test_a_pod_runs_from_the_moment_at_which_it_got_its_place() -> None:
    seen = filled(jobs=(job(),), pods=(pod("Pending", waiting("ContainerCreating"), conditions=(PLACED,)),)).observe(STUDY, NOW)
    assert (seen[KEY].phase, seen[KEY].started_at) == (Phase.RUNNING, NOON + 5)


def test_an_ended_pod_is_observed_with_how_it_ended() -> None:
    seen = filled(jobs=(job(),), pods=(pod("Failed", terminated(75), conditions=(PLACED,)),)).observe(STUDY, NOW)[KEY]
    assert (seen.phase, seen.started_at) == (Phase.ENDED, NOON + 5)
    assert seen.ended is not None
    assert seen.ended.outcome is Outcome.DISRUPTED


def test_what_keeps_a_trial_from_running_is_told_beside_the_observation() -> None:
    sight = filled(jobs=(job(),), pods=(pod("Pending", waiting("ErrImagePull")),)).sights(STUDY, NOW)[KEY]
    assert sight.observation.phase is Phase.PENDING
    assert sight.cause is not None
    assert sight.cause.reason == "ImageNotPulled"


@pytest.mark.parametrize("which", ["job", "pod"])
def test_what_is_being_deleted_is_stopping(which: str) -> None:
    a_job, a_pod = job(), pod("Running", running())
    {"job": a_job, "pod": a_pod}[which]["metadata"] |= {"deletionTimestamp": "2026-11-23T12:01:40Z"}
    seen = filled(jobs=(a_job,), pods=(a_pod,)).observe(STUDY, NOW)[KEY]
    assert (seen.phase, seen.stopping) == (Phase.PENDING, True)


def test_what_we_asked_to_stop_is_stopping_before_the_cluster_says_so() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Running", running()),))
    assert not cache.observe(STUDY, NOW)[KEY].stopping
    cache.mark_stopping(STUDY, KEY)
    assert cache.observe(STUDY, NOW)[KEY].stopping


def test_what_we_asked_to_stop_was_interrupted_and_did_not_fail() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Failed", terminated(1)),))
    cache.mark_stopping(STUDY, KEY)
    ended = cache.observe(STUDY, NOW)[KEY].ended
    assert ended is not None
    assert ended.reason == "Interrupted"


def test_a_released_job_is_not_observed_nor_are_its_pods() -> None:
    released = job(condition("Complete", ""))
    released["metadata"]["labels"][RELEASED_LABEL] = "true"
    assert filled(jobs=(released,), pods=(pod("Succeeded", terminated(0)),)).observe(STUDY, NOW) == {}


def test_the_pod_of_a_released_job_is_not_observed_when_the_end_of_the_job_is_heard_of_first() -> None:
    released = job(condition("Complete", ""))
    released["metadata"]["labels"][RELEASED_LABEL] = "true"
    cache = filled(jobs=(released,), pods=(pod("Succeeded", terminated(0)),))
    cache.apply(Kind.JOB, {"metadata": released["metadata"] | {"resourceVersion": "900"}}, deleted=True)
    assert cache.observe(STUDY, NOW) == {}
    cache.apply(Kind.JOB, job(uid="job-9", version=901))
    assert phase(cache) is Phase.PENDING, "made again under its name"


def test_a_job_that_made_way_does_not_hide_the_one_that_took_its_name_in_the_same_second() -> None:
    released = job(uid="job-9", version=2)
    released["metadata"]["labels"][RELEASED_LABEL] = "true"
    assert phase(filled(jobs=(released, job(version=3)))) is Phase.PENDING


def test_a_pod_whose_job_is_gone_holds_its_place_until_it_has_ended() -> None:
    assert phase(filled(pods=(pod("Running", running(), conditions=(PLACED,)),))) is Phase.RUNNING


def test_a_new_pod_of_the_same_job_takes_over_from_the_ended_one() -> None:
    pods = (
        pod("Failed", terminated(143), deleted=(60, 30)),
        pod("Running", running(), uid="pod-2", conditions=(PLACED,), created=70),
    )
    assert phase(filled(jobs=(job(),), pods=pods)) is Phase.RUNNING
    assert phase(filled(jobs=(job(),), pods=pods[::-1])) is Phase.RUNNING


def test_of_two_pods_at_once_the_one_that_runs_counts() -> None:
    pods = (pod("Running", running(), conditions=(PLACED,)), pod("Failed", terminated(1), uid="pod-2", created=70))
    assert phase(filled(jobs=(job(),), pods=pods)) is Phase.RUNNING


def test_of_two_ended_pods_the_newer_one_counts() -> None:
    pods = (pod("Failed", terminated(1)), pod("Succeeded", terminated(0), uid="pod-2", created=70))
    ended = filled(jobs=(job(),), pods=pods[::-1]).observe(STUDY, NOW)[KEY].ended
    assert ended is not None
    assert ended.outcome is Outcome.SUCCEEDED


def test_a_pod_of_another_job_says_nothing_of_ours() -> None:
    assert phase(filled(jobs=(job(),), pods=(pod("Failed", terminated(1), job_uid="stranger"),))) is Phase.PENDING


def test_studies_are_told_apart_by_namespace_too_since_anybody_may_write_a_label() -> None:
    forged = pod("Failed", terminated(1))
    forged["metadata"]["namespace"] = "elsewhere"
    assert phase(filled(jobs=(job(),), pods=(forged,))) is Phase.PENDING


def test_a_job_that_only_wears_our_labels_is_none_of_ours() -> None:
    assert filled(jobs=(job(study_uid="somebody"),)).observe(STUDY, NOW) == {}


@pytest.mark.parametrize("number", ["", "-1", "x", "\u0663"], ids=["empty", "negative", "a letter", "a digit of another script"])
def test_an_object_whose_number_is_none_is_none_of_ours(number: str) -> None:
    strange = job()
    strange["metadata"]["labels"]["tuningstudy.dev/trial"] = number
    assert filled(jobs=(strange,)).studies() == frozenset()


def test_studies_with_objects_left_are_known() -> None:
    assert filled(pods=(pod("Running"),)).studies() == {STUDY}


def test_a_pod_in_deletion_is_looked_at_again_when_it_may_be_given_up() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Running", running(), deleted=(90, 30)),))
    assert cache.look_again_at(STUDY, NOW) == NOON + 90 + LOST_AFTER_SECONDS
    seen = cache.observe(STUDY, NOON + 91 + LOST_AFTER_SECONDS)[KEY]
    assert seen.ended is not None
    assert seen.ended.reason == "NodeLost"
    assert cache.look_again_at(STUDY, NOW) is None


def test_a_pod_that_another_container_keeps_is_looked_at_again_when_its_trial_is_over() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Running", terminated(1, at=60), running("proxy"), conditions=(PLACED,)),))
    assert phase(cache) is Phase.RUNNING
    assert cache.look_again_at(STUDY, NOW) == NOON + 60 + LINGER_SECONDS
    seen = cache.observe(STUDY, NOON + 61 + LINGER_SECONDS)[KEY]
    assert seen.ended is not None
    assert seen.ended.reason == "ExitCode"
    assert cache.look_again_at(STUDY, NOW) is None


def test_an_end_of_which_nobody_recorded_the_time_has_that_of_its_first_sight() -> None:
    cache = filled(jobs=(job(),), pods=(pod("Failed", terminated(137, reason="ContainerStatusUnknown", at=None)),))
    first = cache.observe(STUDY, NOW)
    assert cache.observe(STUDY, NOW + 10) == first


def test_a_word_to_stop_goes_with_the_attempt() -> None:
    cache = filled(jobs=(job(version=2),))
    cache.mark_stopping(STUDY, KEY)
    cache.apply(Kind.JOB, job(version=3), deleted=True)
    cache.apply(Kind.JOB, job(uid="job-2", version=4))
    assert not cache.observe(STUDY, NOW)[KEY].stopping


def test_an_object_whose_label_is_changed_is_observed_where_it_says_now() -> None:
    cache = filled(jobs=(job(version=2),))
    assert list(cache.observe(STUDY, NOW)) == [KEY]
    cache.apply(Kind.JOB, job(attempt=1, version=3))
    assert list(cache.observe(STUDY, NOW)) == [AttemptKey(3, 1)]


# Events of type Warning


def refused(message: str = "Error creating: exceeded quota: gpus, requested") -> WarningEvent:
    return WarningEvent(reason="FailedCreate", message=message)


def test_a_warning_is_news_once() -> None:
    cache = filled(jobs=(job(),))
    assert [cache.warn("job-1", refused()), cache.warn("job-1", refused())] == [{STUDY}, set()]
    cause = cache.sights(STUDY, NOW)[KEY].cause
    assert cause is not None
    assert cause.object == "ResourceQuota/gpus"


def test_of_two_warnings_of_one_reason_the_newer_stands_whichever_comes_last() -> None:
    cache = filled(jobs=(job(),))
    older = replace(refused("Error creating: exceeded quota: memory, requested"), seen=("2026-11-23T12:00:01", 7))
    newer = replace(refused(), seen=("2026-11-23T12:00:02", 9))
    cache.warn("job-1", newer)
    assert [cache.warn("job-1", each) for each in (older, newer, older)] == [frozenset()] * 3
    cause = cache.sights(STUDY, NOW)[KEY].cause
    assert cause is not None
    assert cause.object == "ResourceQuota/gpus"


def test_a_warning_about_an_unknown_object_is_dropped() -> None:
    cache = ClusterCache()
    assert cache.warn("job-1", refused()) == frozenset()
    cache.apply(Kind.JOB, job())
    assert cache.sights(STUDY, NOW)[KEY].cause is None


def test_warnings_go_with_their_objects() -> None:
    cache = filled(jobs=(job(),))
    cache.warn("job-1", refused())
    cache.replace(Kind.JOB, [], version=5)
    cache.apply(Kind.JOB, job(version=6))
    assert cache.sights(STUDY, NOW)[KEY].cause is None


# What changed


def test_an_event_names_the_study_to_look_at_when_it_is_news() -> None:
    cache = ClusterCache()
    assert cache.apply(Kind.JOB, job(version=2)) == {STUDY}
    assert cache.apply(Kind.JOB, job(version=2)) == frozenset()
    assert cache.apply(Kind.JOB, job(version=1)) == frozenset()
    assert cache.apply(Kind.JOB, job(version=3), deleted=True) == {STUDY}
    assert cache.apply(Kind.JOB, job(version=3), deleted=True) == frozenset()
    assert cache.apply(Kind.JOB, job(version=2)) == frozenset()


def test_a_list_names_the_studies_of_which_something_changed() -> None:
    cache = filled(jobs=(job(version=2),))
    assert cache.replace(Kind.JOB, [job(version=2)], version=4) == frozenset()
    assert cache.replace(Kind.JOB, [job(version=5)], version=5) == {STUDY}
    assert cache.replace(Kind.JOB, [], version=6) == {STUDY}


def test_a_job_created_while_a_list_was_on_its_way_stays() -> None:
    cache = filled(jobs=(job(version=7),))
    cache.replace(Kind.JOB, [], version=6)
    assert phase(cache) is Phase.PENDING


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    cache = filled(jobs=(job(version=2),))
    cache.replace(Kind.JOB, [], version=6, namespace="elsewhere")
    assert phase(cache) is Phase.PENDING
    cache.replace(Kind.JOB, [], version=6, namespace=NAMESPACE)
    assert phase(cache) is None


def test_a_list_that_comes_after_a_later_one_says_nothing() -> None:
    cache = ClusterCache()
    cache.replace(Kind.JOB, [], version=6)
    assert cache.replace(Kind.JOB, [job(version=2)], version=4) == frozenset()
    assert phase(cache) is None


def test_a_job_whose_labels_are_taken_away_is_gone_until_they_are_back() -> None:
    cache = filled(jobs=(job(version=2),))
    bare = job(version=3)
    bare["metadata"]["labels"] = {}
    assert cache.apply(Kind.JOB, bare) == {STUDY}
    assert phase(cache) is None
    assert cache.apply(Kind.JOB, job(version=4)) == {STUDY}
    assert cache.apply(Kind.JOB, bare, deleted=True) == frozenset()
    assert phase(cache) is Phase.PENDING


# Any order, doubles, losses


@dataclass(frozen=True)
class Event:
    kind: Kind
    raw: Raw
    deleted: bool = False


@dataclass
class Cluster:
    """An API server's history: every version of every object, and what stands at the end of each version."""

    events: list[Event] = field(default_factory=list)
    standing: dict[str, Event] = field(default_factory=dict)
    states: list[dict[str, Event]] = field(default_factory=lambda: [{}])

    @property
    def version(self) -> int:
        return len(self.events)

    def step(self, kind: Kind, slot: int, action: str) -> None:
        uid = f"{kind}-{slot}"
        exists = uid in self.standing
        if exists == (action == "create") or (not exists and any(e.raw["metadata"]["uid"] == uid for e in self.events)):
            return  # a uid is never used twice
        event = Event(kind, self._object(kind, slot, uid), deleted=action == "delete")
        self.events.append(event)
        if event.deleted:
            del self.standing[uid]
        else:
            self.standing[uid] = event
        self.states.append(dict(self.standing))

    def _object(self, kind: Kind, slot: int, uid: str) -> Raw:
        version = self.version + 1
        if kind is Kind.JOB:
            return job(condition("Complete", ""), uid=uid, trial=slot % 2, version=version)
        phases = ("Pending", "Running", "Succeeded")
        return pod(phases[version % 3], terminated(0), uid=uid, job_uid=f"Job-{slot}", trial=slot % 2, version=version)

    def listed(self, kind: Kind, version: int) -> list[Raw]:
        return [event.raw for event in self.states[version].values() if event.kind is kind]


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    steps = st.tuples(st.sampled_from(Kind), st.integers(0, 2), st.sampled_from(["create", "modify", "delete"]))
    cluster = Cluster()
    for step in draw(st.lists(steps, min_size=3, max_size=25)):
        cluster.step(*step)
    return cluster


def told(cache: ClusterCache) -> dict[AttemptKey, Sight]:
    return dict(cache.sights(STUDY, NOW))


def listed(cluster: Cluster, version: int | None = None, into: ClusterCache | None = None) -> ClusterCache:
    cache = into or ClusterCache()
    at = cluster.version if version is None else version
    for kind in Kind:
        cache.replace(kind, cluster.listed(kind, at), version=at)
    return cache


def deliver(cache: ClusterCache, events: list[Event]) -> None:
    for event in events:
        before = told(cache)
        changed = cache.apply(event.kind, event.raw, deleted=event.deleted)
        assert changed == {STUDY} or told(cache) == before


@given(cluster=clusters(), data=st.data())
def test_events_in_any_order_and_doubled_end_as_the_final_list(cluster: Cluster, data: st.DataObject) -> None:
    doubled = [*cluster.events, *data.draw(st.lists(st.sampled_from(cluster.events)) if cluster.events else st.just([]))]
    cache = ClusterCache()
    deliver(cache, data.draw(st.permutations(doubled)))
    assert told(cache) == told(listed(cluster))


@given(cluster=clusters(), data=st.data())
def test_a_list_mends_lost_events_and_late_ones_do_no_harm_after_it(cluster: Cluster, data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(cluster.events)) if cluster.events else st.just([])
    cache = ClusterCache()
    deliver(cache, data.draw(some))
    listed(cluster, into=cache)
    deliver(cache, data.draw(some))
    assert told(cache) == told(listed(cluster))


@given(cluster=clusters(), data=st.data())
def test_old_lists_among_the_events_do_no_harm(cluster: Cluster, data: st.DataObject) -> None:
    versions = data.draw(st.lists(st.integers(0, cluster.version), max_size=3))
    cache = ClusterCache()
    happening: list[Event | int] = [*cluster.events, *versions]
    for item in data.draw(st.permutations(happening)):
        if isinstance(item, Event):
            deliver(cache, [item])
        else:
            listed(cluster, item, into=cache)
    assert told(cache) == told(listed(cluster))


@given(cluster=clusters(), data=st.data())
def test_nothing_is_kept_of_what_is_gone_once_a_list_says_so(cluster: Cluster, data: st.DataObject) -> None:
    cache = ClusterCache()
    deliver(cache, data.draw(st.permutations(cluster.events)))
    listed(cluster, into=cache)
    deliver(cache, cluster.events)
    assert not cache._jobs.gone
    assert not cache._pods.gone
    assert cache._stale.keys() | cache._sights.keys() <= cache.studies()
    assert cache.studies() == listed(cluster).studies()
