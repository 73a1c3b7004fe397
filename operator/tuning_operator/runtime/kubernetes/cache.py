"""Jobs and Pods of all studies as last seen, and what they say of each attempt. In memory; no I/O, no clock.

Fed by watch events, by full lists, and by the answers to our own requests, in whatever order these come. An event may
be lost, doubled or late: a full list mends the first, versions of objects the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from tuning_operator.engine.facts import Ended, Observation, Phase
from tuning_operator.runtime.kubernetes.causes import StudyCause, WarningEvent
from tuning_operator.runtime.kubernetes.outcome import LOST_AFTER_SECONDS, outcome
from tuning_operator.runtime.kubernetes.views import JobView, PodView, StudyKey, job_view, pod_view
from tuning_operator.runtime.protocol import AttemptKey

View = TypeVar("View", JobView, PodView)


class Kind(StrEnum):
    """What is cached."""

    JOB = "Job"
    POD = "Pod"


@dataclass
class _Shelf(Generic[View]):
    """The objects of one kind.

    An object is known by its uid, and its newest version stands. Of what is gone, the version at which it went is kept,
    until a list of a later version makes that superfluous: whatever is not in it and not newer is gone.
    """

    by_uid: dict[str, View] = field(default_factory=dict)
    gone: dict[str, tuple[str, int]] = field(default_factory=dict)  # namespace and version
    by_study: defaultdict[StudyKey, dict[str, View]] = field(default_factory=lambda: defaultdict(dict))
    listed_at: dict[str | None, int] = field(default_factory=dict)  # by namespace; None: all of them

    def put(self, view: View) -> bool:
        """Take a version of an object. False when a newer one, or its end, is known already."""
        identity = view.identity
        known = self.by_uid.get(identity.uid)
        if known is not None:
            stale = identity.version <= known.identity.version
        else:
            stale = identity.version <= max(self._gone_at(identity.uid), self._listed(identity.study.namespace))
        if not stale:
            self._store(view)
        return not stale

    def remove(self, uid: str, namespace: str, version: int) -> View | None:
        """Take the end of an object; what was known of it, None when nothing was."""
        known = self.by_uid.get(uid)
        if known is not None and version < known.identity.version:
            return None
        if version > self._listed(namespace):
            self.gone[uid] = (namespace, max(version, self._gone_at(uid)))
        return self._drop(uid)

    def replace(self, views: Iterable[View], version: int, namespace: str | None) -> set[StudyKey]:
        """Take a full list; the studies of which something changed."""
        listed = {view.identity.uid: view for view in views if version >= self._listed(view.identity.study.namespace)}
        changed = set()
        for uid, known in list(self.by_uid.items()):
            covered = namespace in (None, known.identity.study.namespace)
            if (
                covered
                and uid not in listed
                and max(known.identity.version, self._listed(known.identity.study.namespace)) <= version
            ):
                self._drop(uid)
                changed.add(known.identity.study)
        for uid, view in listed.items():
            newest = self.by_uid[uid].identity.version if uid in self.by_uid else self._gone_at(uid)
            if view.identity.version > newest:
                self._store(view)
                changed.add(view.identity.study)
        self.listed_at[namespace] = max(version, self.listed_at.get(namespace, 0))
        self.gone = {uid: (where, at) for uid, (where, at) in self.gone.items() if at > self._listed(where)}
        return changed

    def _gone_at(self, uid: str) -> int:
        return self.gone[uid][1] if uid in self.gone else 0

    def _listed(self, namespace: str) -> int:
        return max(self.listed_at.get(None, 0), self.listed_at.get(namespace, 0))

    def _store(self, view: View) -> None:
        self._drop(view.identity.uid)
        self.by_uid[view.identity.uid] = view
        self.by_study[view.identity.study][view.identity.uid] = view

    def _drop(self, uid: str) -> View | None:
        known = self.by_uid.pop(uid, None)
        if known is not None:
            study = self.by_study[known.identity.study]
            del study[uid]
            if not study:
                del self.by_study[known.identity.study]
        return known


@dataclass(frozen=True)
class Sight:
    """What the cluster says of one attempt."""

    job: JobView | None
    pod: PodView | None
    observation: Observation
    cause: StudyCause | None  # what keeps it, and every other trial of the study, from running


class ClusterCache:
    """The cache. To be used from one thread."""

    def __init__(self) -> None:
        self._jobs: _Shelf[JobView] = _Shelf()
        self._pods: _Shelf[PodView] = _Shelf()
        self._warnings: defaultdict[str, dict[str, WarningEvent]] = defaultdict(dict)
        self._stopping: defaultdict[StudyKey, set[AttemptKey]] = defaultdict(set)

    # In

    def apply(self, kind: Kind, raw: Mapping[str, Any], *, deleted: bool = False) -> StudyKey | None:
        """Take an object from a watch event, or from the answer to a request of ours.

        Returns:
            The study to look at; None when nothing changed by it.
        """
        if kind is Kind.JOB:
            return _take(self._jobs, job_view(raw), raw, deleted=deleted)
        return _take(self._pods, pod_view(raw), raw, deleted=deleted)

    def replace(
        self, kind: Kind, items: Iterable[Mapping[str, Any]], *, version: int, namespace: str | None = None
    ) -> frozenset[StudyKey]:
        """Take a full list: what is not in it is gone, unless it is newer than the list.

        Args:
            kind: of the items.
            items: all objects of ours, of all pages.
            version: resourceVersion of the list.
            namespace: to which the list was limited; None when it was not.

        Returns:
            The studies to look at.
        """
        if kind is Kind.JOB:
            changed = self._jobs.replace(filter(None, map(job_view, items)), version, namespace)
        else:
            changed = self._pods.replace(filter(None, map(pod_view, items)), version, namespace)
        known = self._jobs.by_uid.keys() | self._pods.by_uid.keys()
        self._warnings = defaultdict(dict, {uid: said for uid, said in self._warnings.items() if uid in known})
        return frozenset(changed)

    def warn(self, uid: str, event: WarningEvent) -> StudyKey | None:
        """Take an Event of type Warning about the object of that uid; the study to look at, None when it changes nothing.

        About objects that are not known yet it is dropped: what matters is said again.
        """
        about = self._jobs.by_uid.get(uid) or self._pods.by_uid.get(uid)
        if about is None or self._warnings[uid].get(event.reason) == event:
            return None
        self._warnings[uid][event.reason] = event
        return about.identity.study

    def mark_stopping(self, study: StudyKey, key: AttemptKey) -> None:
        """Remember that we asked an attempt to stop. Lost at a restart, when its deletion in the cluster tells as much."""
        self._stopping[study].add(key)

    def forget(self, study: StudyKey) -> None:
        """Let go of what is remembered of a study beside its objects: it is deleted."""
        self._stopping.pop(study, None)

    # Out

    def observe(self, study: StudyKey, now: float) -> dict[AttemptKey, Observation]:
        """Every attempt of the study that the cluster knows and that is not released."""
        return {key: sight.observation for key, sight in self.sights(study, now).items()}

    def sights(self, study: StudyKey, now: float) -> dict[AttemptKey, Sight]:
        """Observations with what they were made of."""
        jobs = {view.identity.attempt: view for view in sorted(self._of(self._jobs, study), key=_age)}
        pods: defaultdict[AttemptKey, list[PodView]] = defaultdict(list)
        for pod in self._of(self._pods, study):
            job = jobs.get(pod.identity.attempt)
            # A Job deleted and made again has another uid, and its predecessor's Pods are not its own.
            if job is None or job.identity.uid == pod.job_uid:
                pods[pod.identity.attempt].append(pod)
        asked = self._stopping.get(study, ())
        return {
            key: self._sight(jobs.get(key), max(pods[key], key=_precedence, default=None), now, asked=key in asked)
            for key in sorted(jobs.keys() | pods.keys())
            if not (key in jobs and jobs[key].released)
        }

    def look_again_at(self, study: StudyKey) -> float | None:
        """When an observation may change without an event: a Pod in deletion is given up at some time."""
        deadlines = (pod.deletion.deadline for pod in self._of(self._pods, study) if pod.deletion and not pod.terminal)
        return min((deadline + LOST_AFTER_SECONDS for deadline in deadlines), default=None)

    def studies(self) -> frozenset[StudyKey]:
        """Every study of which there is an object: one that is gone itself has left them behind."""
        return frozenset(self._jobs.by_study.keys() | self._pods.by_study.keys())

    # Inside

    def _sight(self, job: JobView | None, pod: PodView | None, now: float, *, asked: bool) -> Sight:
        said = [event for view in (job, pod) if view for event in self._warnings.get(view.identity.uid, {}).values()]
        found = outcome(job, pod, now=now, stop_requested=asked, warnings=said)
        ended = found if isinstance(found, Ended) else None
        placed_at = pod.placed_at if pod else None
        waiting = Phase.RUNNING if placed_at is not None else Phase.PENDING
        observation = Observation(
            phase=Phase.ENDED if ended else waiting,
            started_at=placed_at,
            stopping=asked or any(view is not None and view.deletion is not None for view in (job, pod)),
            ended=ended,
        )
        return Sight(job=job, pod=pod, observation=observation, cause=found if isinstance(found, StudyCause) else None)

    @staticmethod
    def _of(shelf: _Shelf[View], study: StudyKey) -> Iterator[View]:
        return iter(shelf.by_study.get(study, {}).values())


def _take(shelf: _Shelf[View], view: View | None, raw: Mapping[str, Any], *, deleted: bool) -> StudyKey | None:
    if view is not None and not deleted:
        return view.identity.study if shelf.put(view) else None
    # Gone, or no longer ours: somebody took its labels away.
    metadata = raw["metadata"]
    known = shelf.remove(metadata["uid"], metadata["namespace"], int(metadata["resourceVersion"]))
    return known.identity.study if known else None


def _age(view: JobView | PodView) -> tuple[float, str]:
    return view.identity.created_at, view.identity.uid


def _precedence(pod: PodView) -> tuple[bool, float, str]:
    """A Job may have several Pods in its life, and two at once by a fault of its controller: what runs counts first."""
    return not pod.terminal, *_age(pod)
