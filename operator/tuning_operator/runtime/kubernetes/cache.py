"""Jobs and Pods of all studies as last seen, and what they say of each attempt. In memory; no I/O, no clock.

Fed by watch events, by full lists, and by the answers to our own requests, in whatever order these come. An event may
be lost, doubled or late: a full list mends the first, versions of objects the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from tuning_operator.engine.facts import Ended, Observation, Phase, StudyCause
from tuning_operator.runtime.kubernetes.causes import WarningEvent
from tuning_operator.runtime.kubernetes.outcome import ends_at, outcome
from tuning_operator.runtime.kubernetes.views import JobView, PodView, StudyKey, job_view, pod_view
from tuning_operator.runtime.protocol import AttemptKey

View = TypeVar("View", JobView, PodView)

Place = tuple[StudyKey, AttemptKey]


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
    by_attempt: defaultdict[Place, dict[str, View]] = field(default_factory=lambda: defaultdict(dict))
    listed_at: dict[str | None, int] = field(default_factory=dict)  # by namespace; None: all of them
    touched: set[Place] = field(default_factory=set)  # attempts of which something changed, until somebody asks

    def put(self, view: View) -> None:
        """Take a version of an object, unless a newer one, or its end, is known already."""
        identity = view.identity
        known = self.by_uid.get(identity.uid)
        if known is not None:
            newest = known.identity.version
        else:
            newest = max(self._gone_at(identity.uid), self._listed(identity.study.namespace))
        if identity.version > newest:
            self._store(view)

    def remove(self, uid: str, namespace: str, version: int) -> None:
        """Take the end of an object, unless a newer version is known already."""
        known = self.by_uid.get(uid)
        if known is not None and version < known.identity.version:
            return
        if version > self._listed(namespace):
            self.gone[uid] = (namespace, max(version, self._gone_at(uid)))
        self._drop(uid)

    def replace(self, views: Iterable[View], version: int, namespace: str | None) -> None:
        """Take a full list. Where a later one is known already, it says nothing."""
        listed = {view.identity.uid: view for view in views if version >= self._listed(view.identity.study.namespace)}
        for uid, known in list(self.by_uid.items()):
            where = known.identity.study.namespace
            newest = max(known.identity.version, self._listed(where))
            if namespace in (None, where) and uid not in listed and newest <= version:
                self._drop(uid)
        for uid, view in listed.items():
            newest = self.by_uid[uid].identity.version if uid in self.by_uid else self._gone_at(uid)
            if view.identity.version > newest:
                self._store(view)
        self.listed_at[namespace] = max(version, self.listed_at.get(namespace, 0))
        self.gone = {uid: (where, at) for uid, (where, at) in self.gone.items() if at > self._listed(where)}

    def _gone_at(self, uid: str) -> int:
        return self.gone[uid][1] if uid in self.gone else 0

    def _listed(self, namespace: str) -> int:
        return max(self.listed_at.get(None, 0), self.listed_at.get(namespace, 0))

    def _store(self, view: View) -> None:
        self._drop(view.identity.uid)
        self.by_uid[view.identity.uid] = view
        place = _place(view)
        self.by_attempt[place][view.identity.uid] = view
        self.touched.add(place)

    def _drop(self, uid: str) -> None:
        known = self.by_uid.pop(uid, None)
        if known is None:
            return
        place = _place(known)
        del self.by_attempt[place][uid]
        if not self.by_attempt[place]:
            del self.by_attempt[place]
        self.touched.add(place)


@dataclass(frozen=True)
class Sight:
    """What the cluster says of one attempt."""

    job: JobView | None
    pod: PodView | None
    observation: Observation
    cause: StudyCause | None  # what keeps it, and every other trial of the study, from running
    doubt: bool  # its Job has ended, and whether its Pod is gone or has not been heard of yet, only a list tells
    again_at: float | None  # when to look again though nothing happens: no Pod is waited for without end


class ClusterCache:
    """The cache. To be used from one thread."""

    def __init__(self) -> None:
        self._jobs: _Shelf[JobView] = _Shelf()
        self._pods: _Shelf[PodView] = _Shelf()
        self._warnings: defaultdict[str, dict[str, WarningEvent]] = defaultdict(dict)
        self._stopping: set[Place] = set()
        self._podless: dict[Place, str] = {}  # uids of ended Jobs whose Pods were listed since
        self._placed: dict[Place, float] = {}  # a Job outlives its Pod, and does not know since when that held its place
        self._let_go: defaultdict[Place, set[str]] = defaultdict(set)  # uids of released Jobs: their Pods may be heard of longer
        # Most attempts of a study are history: only what changed is looked at anew.
        self._sights: dict[StudyKey, dict[AttemptKey, Sight]] = {}
        self._stale: defaultdict[StudyKey, set[AttemptKey]] = defaultdict(set)

    # In. Each returns the studies to look at, none when nothing changed.

    def apply(self, kind: Kind, raw: Mapping[str, Any], *, deleted: bool = False) -> frozenset[StudyKey]:
        """Take an object from a watch event, or from the answer to a request of ours."""
        if kind is Kind.JOB:
            _take(self._jobs, job_view(raw), raw, deleted=deleted)
        else:
            _take(self._pods, pod_view(raw), raw, deleted=deleted)
        return self._note_changes()

    def replace(
        self, kind: Kind, items: Iterable[Mapping[str, Any]], *, version: int, namespace: str | None = None
    ) -> frozenset[StudyKey]:
        """Take a full list: what is not in it is gone, unless it is newer than the list.

        Args:
            kind: of the items.
            items: all objects of ours, of all pages.
            version: resourceVersion of the list.
            namespace: to which the list was limited; None when it was not.
        """
        if kind is Kind.JOB:
            self._jobs.replace(filter(None, map(job_view, items)), version, namespace)
        else:
            self._pods.replace(filter(None, map(pod_view, items)), version, namespace)
        known = self._jobs.by_uid.keys() | self._pods.by_uid.keys()
        self._warnings = defaultdict(dict, {uid: said for uid, said in self._warnings.items() if uid in known})
        return self._note_changes()

    def warn(self, uid: str, event: WarningEvent) -> frozenset[StudyKey]:
        """Take an Event of type Warning about the object of that uid, unless a newer one of its reason is known already.

        About objects that are not known yet it is dropped: what matters is said again.
        """
        about = self._jobs.by_uid.get(uid) or self._pods.by_uid.get(uid)
        known = self._warnings.get(uid, {}).get(event.reason)
        if about is None or (known is not None and event.seen < known.seen):
            return frozenset()
        self._warnings[uid][event.reason] = event
        if event == known:
            return frozenset()
        self._stale[about.identity.study].add(about.identity.attempt)
        return frozenset((about.identity.study,))

    def mark_stopping(self, study: StudyKey, key: AttemptKey) -> None:
        """Remember that we asked an attempt to stop. Lost at a restart, when its deletion in the cluster tells as much."""
        self._stopping.add((study, key))
        self._stale[study].add(key)

    def mark_podless(self, study: StudyKey, key: AttemptKey, job_uid: str) -> None:
        """Take down that a list made after the end of an attempt's Job has found what there is of its Pods."""
        self._podless[study, key] = job_uid
        self._stale[study].add(key)

    # Out

    def observe(self, study: StudyKey, now: float) -> dict[AttemptKey, Observation]:
        """Every attempt of the study that the cluster knows and that is not released."""
        return {key: sight.observation for key, sight in self.sights(study, now).items()}

    def sights(self, study: StudyKey, now: float) -> Mapping[AttemptKey, Sight]:
        """Observations with what they were made of. The time of an end that nobody recorded is that of its first sight."""
        sights = self._sights.setdefault(study, {})
        overdue = {key for key, sight in sights.items() if sight.again_at is not None and now > sight.again_at}
        for key in self._stale.pop(study, set()) | overdue:
            sight = self._sight((study, key), now)
            if sight is None:
                sights.pop(key, None)
            else:
                sights[key] = sight
        if not sights:
            del self._sights[study]
        return MappingProxyType(sights)

    def look_again_at(self, study: StudyKey, now: float) -> float | None:
        """When an observation may change without an event."""
        return min((sight.again_at for sight in self.sights(study, now).values() if sight.again_at is not None), default=None)

    def holder(self, namespace: str, pod_uid: str) -> Place | None:
        """The attempt that a Pod runs, by the Job that controls it; None for any other Pod, whatever its labels say.

        What a released Job's Pod still has to say concerns nobody; of one that was never claimed it would harm.
        """
        pod = self._pods.by_uid.get(pod_uid)
        job = self._jobs.by_uid.get(pod.job_uid) if pod is not None else None
        if pod is None or job is None or job.released:
            return None
        if _place(pod) != _place(job) or pod.identity.study.namespace != namespace:
            return None
        return _place(job)

    def live(self, now: float) -> dict[StudyKey, int]:
        """How many attempts of each study have not ended, as far as the cluster knows."""
        counts = {}
        for study in self.studies():
            observed = self.observe(study, now).values()
            counts[study] = sum(observation.phase is not Phase.ENDED for observation in observed)
        return counts

    def studies(self) -> frozenset[StudyKey]:
        """Every study of which there is an object: one that is gone itself has left them behind."""
        return frozenset(study for shelf in (self._jobs, self._pods) for study, _ in shelf.by_attempt)

    # Inside

    def _note_changes(self) -> frozenset[StudyKey]:
        changed = self._jobs.touched | self._pods.touched
        for place in self._jobs.touched:
            released = {uid for uid, job in self._jobs.by_attempt.get(place, {}).items() if job.released}
            if released:
                self._let_go[place] |= released
        self._jobs.touched.clear()
        self._pods.touched.clear()
        for study, key in changed:
            if (study, key) in self._jobs.by_attempt or (study, key) in self._pods.by_attempt:
                self._stale[study].add(key)
            else:
                self._forget(study, key)
        return frozenset(study for study, _ in changed)

    def _forget(self, study: StudyKey, key: AttemptKey) -> None:
        """Keep nothing of an attempt that has no object: if its study is gone too, nobody ever asks for it."""
        self._stopping.discard((study, key))
        self._placed.pop((study, key), None)
        self._podless.pop((study, key), None)
        self._let_go.pop((study, key), None)
        self._sights.get(study, {}).pop(key, None)
        self._stale[study].discard(key)
        for kept in (self._sights, self._stale):
            if not kept.get(study):
                kept.pop(study, None)

    def _sight(self, place: Place, now: float) -> Sight | None:
        job = max(self._jobs.by_attempt.get(place, {}).values(), key=_standing, default=None)
        if job is not None and job.released:
            return None
        # A Job deleted and made again has another uid, and its predecessor's Pods are not its own. Nor do they count when it is
        # not made again yet: watches of Jobs and Pods keep no order between them.
        pods = (
            pod
            for pod in self._pods.by_attempt.get(place, {}).values()
            if (pod.job_uid == job.identity.uid if job is not None else pod.job_uid not in self._let_go.get(place, ()))
        )
        pod = max(pods, key=_precedence, default=None)
        if job is None and pod is None:
            return None
        asked = place in self._stopping
        said = [event for view in (job, pod) if view for event in self._warnings.get(view.identity.uid, {}).values()]
        found = outcome(job, pod, now=now, stop_requested=asked, warnings=said)
        # Watches of Jobs and Pods keep no order between them: the Pod, and its result, may not have been heard of yet.
        doubt = job is not None and pod is None and isinstance(found, Ended) and self._podless.get(place) != job.identity.uid
        found = None if doubt else found
        ended = found if isinstance(found, Ended) else None
        placed_at = pod.placed_at if pod else None
        if placed_at is not None:
            self._placed[place] = placed_at
        observation = Observation(
            phase=Phase.ENDED if ended else Phase.PENDING if placed_at is None else Phase.RUNNING,
            started_at=self._placed.get(place) if ended else placed_at,
            stopping=asked or any(view is not None and view.deletion is not None for view in (job, pod)),
            ended=ended,
            held_up=isinstance(found, StudyCause),
        )
        cause = found if isinstance(found, StudyCause) else None
        again_at = ends_at(pod) if pod and not ended else None
        return Sight(job=job, pod=pod, observation=observation, cause=cause, again_at=again_at, doubt=doubt)


def _take(shelf: _Shelf[View], view: View | None, raw: Mapping[str, Any], *, deleted: bool) -> None:
    if view is not None and not deleted:
        shelf.put(view)
        return
    # Gone, or no longer ours: somebody took its labels away.
    metadata = raw["metadata"]
    shelf.remove(metadata["uid"], metadata["namespace"], int(metadata["resourceVersion"]))


def _place(view: JobView | PodView) -> Place:
    return view.identity.study, view.identity.attempt


def _age(view: JobView | PodView) -> tuple[float, str]:
    return view.identity.created_at, view.identity.uid


def _standing(job: JobView) -> tuple[bool, float, str]:
    """A Job that made way may be seen for a while beside the one that took its name."""
    return not job.released, *_age(job)


def _precedence(pod: PodView) -> tuple[bool, float, str]:
    """A Job may have several Pods in its life, and two at once by a fault of its controller: what runs counts first."""
    return not pod.terminal, *_age(pod)
