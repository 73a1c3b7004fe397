"""Trials as Jobs: what is done in the cluster. What is seen there is the cache's part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tuning_operator.api.problems import ManifestError
from tuning_operator.api.study import TrialTemplate
from tuning_operator.engine.facts import Observation, Phase, StudyCause
from tuning_operator.runtime.kubernetes import causes, events
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind, Sight
from tuning_operator.runtime.kubernetes.client import (
    ApiUnavailableError,
    ConflictError,
    Document,
    KubernetesApi,
    NotFoundError,
    RequestRefusedError,
)
from tuning_operator.runtime.kubernetes.job import StudyRef, build, is_ours, job_name, launch_digest
from tuning_operator.runtime.kubernetes.names import ATTEMPT_LABEL, RELEASED_LABEL, SELECTOR, STUDY_UID_LABEL, TRIAL_LABEL
from tuning_operator.runtime.kubernetes.outcome import lost
from tuning_operator.runtime.kubernetes.views import Identity, JobView, PodView, StudyKey, job_view
from tuning_operator.runtime.protocol import AttemptKey, Launch, RuntimeUnavailableError

RELEASED_TTL_SECONDS: Final = 3600
"""For so long people find the Pod and the log of a trial whose end is in the database."""


class StartRefusedError(RuntimeUnavailableError):
    """The cluster refuses the trials of a study until somebody mends `cause`; nothing has been started."""

    def __init__(self, cause: StudyCause) -> None:
        super().__init__(f"{cause.reason}: {cause.message}")
        self.cause = cause


class KubernetesRuntime:
    """The cluster as all studies share it: one per process."""

    def __init__(
        self, api: KubernetesApi, cache: ClusterCache, *, clock: Callable[[], float], released_ttl: int = RELEASED_TTL_SECONDS
    ) -> None:
        """Work with an API and a cache.

        Args:
            api: for requests.
            cache: for what is known; answers to our own requests go into it at once.
            clock: seconds since the epoch.
            released_ttl: seconds for which a finished Job stays once its end is in the database.
        """
        self.api = api
        self.cache = cache
        self.clock = clock
        self.released_ttl = released_ttl

    def for_study(self, study: StudyRef, trial: Callable[[], TrialTemplate], *, endpoint: str | None) -> StudyRuntime:
        """Where the trials of one study run.

        Args:
            study: its object.
            trial: gives the template that holds now; it may be edited while the study runs.
            endpoint: URL of the gateway; None when there is none.
        """
        return StudyRuntime(self, study, trial, endpoint)

    async def relist(self, namespace: str | None = None) -> frozenset[StudyKey]:
        """Replace what is known of a namespace, or of all, by what there is.

        Returns:
            The studies of whose Jobs and Pods something was not known. That a warning was not is no sign of a deaf watch: it
            may have come before the object that it is about.

        Raises:
            ApiUnavailableError: not now; what was known stays.
            RequestRefusedError: the operator may not read them.
        """
        pods = await self.api.list_all(Kind.POD, namespace, labels=SELECTOR)
        # Later than the Pods, so that none of these is without the Job that it belongs to.
        jobs = await self.api.list_all(Kind.JOB, namespace, labels=SELECTOR)
        warnings = await self.api.list_warnings(namespace)
        changed = set(self.cache.replace(Kind.JOB, jobs.items, version=jobs.version, namespace=namespace))
        changed |= self.cache.replace(Kind.POD, pods.items, version=pods.version, namespace=namespace)
        for uid, said in filter(None, map(events.warning, warnings)):
            self.cache.warn(uid, said)
        return frozenset(changed)


class StudyRuntime:
    """A `runtime.protocol.Runtime`: the trials of one study as Jobs."""

    def __init__(
        self, cluster: KubernetesRuntime, study: StudyRef, trial: Callable[[], TrialTemplate], endpoint: str | None
    ) -> None:
        self._cluster = cluster
        self._study = study
        self._key = StudyKey(study.namespace, study.uid)
        self._trial = trial
        self._endpoint = endpoint
        self._refused: StudyCause | None = None

    # What is seen

    def observe(self) -> Mapping[AttemptKey, Observation]:
        """Every attempt that the cluster knows and that is not released. No I/O."""
        return self._cluster.cache.observe(self._key, self._cluster.clock())

    def causes(self) -> tuple[StudyCause, ...]:
        """What keeps trials from running, each thing once; a refusal counts until the next start or dry run is taken.

        What may pass by itself is said only while no trial runs.
        """
        sights = self._sights().values()
        runs = any(sight.observation.phase is Phase.RUNNING for sight in sights)
        said: dict[tuple[str, str], StudyCause] = {}
        for cause in (self._refused, *(sight.cause for sight in sights)):
            if cause is not None and not (cause.passing and runs):
                said.setdefault((cause.reason, cause.object), cause)
        return tuple(said.values())

    def jobs(self) -> Mapping[AttemptKey, JobView]:
        """The Jobs of these attempts. No I/O."""
        return {key: sight.job for key, sight in self._sights().items() if sight.job is not None}

    @property
    def refused(self) -> bool:
        """Whether the last start, or its rehearsal, was refused."""
        return self._refused is not None

    def look_again_at(self) -> float | None:
        """When an observation may change though nothing happens; seconds since the epoch."""
        return self._cluster.cache.look_again_at(self._key, self._cluster.clock())

    # What is done

    async def settle_doubts(self) -> None:
        """Ask for the Pods of Jobs that have ended and whose Pods nobody has told of.

        Raises:
            RuntimeUnavailableError: not now.
        """
        for key, sight in list(self._sights().items()):
            if sight.doubt and sight.job is not None:
                labels = f"{STUDY_UID_LABEL}={self._study.uid},{TRIAL_LABEL}={key.trial},{ATTEMPT_LABEL}={key.attempt}"
                try:
                    pods = await self._cluster.api.list_all(Kind.POD, self._study.namespace, labels=labels)
                except RequestRefusedError as error:
                    raise _later(error) from error
                for pod in pods.items:
                    self._cluster.cache.apply(Kind.POD, pod)
                self._cluster.cache.mark_podless(self._key, key, sight.job.identity.uid)

    async def dry_run(self, launch: Launch) -> None:
        """Send the Job of an attempt through every check of the API server without creating it.

        Checks of Pods, such as Pod security and most quotas, come later: a Job is not a Pod.

        Raises:
            StartRefusedError: it would be refused.
            RuntimeUnavailableError: not now.
        """
        await self._create(launch, dry_run=True)

    async def start(self, launch: Launch) -> None:
        """Create the Job of an attempt. One that exists already, and was made for just this, is success.

        Raises:
            StartRefusedError: the cluster refuses it, or another Job stands under its name: somebody else's, or one of this
                study that was made for something else, and is deleted.
            RuntimeUnavailableError: not now.
        """
        sight = self._sights().get(launch.key)
        if sight is not None:
            await self._check(sight.job, launch)
        else:
            made = await self._create(launch)
            await self._check(job_view(made), launch)
            self._cluster.cache.apply(Kind.JOB, made)

    async def stop(self, key: AttemptKey) -> None:
        """Delete the Pod, with its grace period, so that its Job remembers how it ended.

        Before it has a place on a node there is nothing to remember, and the Job itself is deleted: without its Job, a
        Pod that no kubelet knows is gone at once, and else after 20 seconds.

        Raises:
            RuntimeUnavailableError: not now.
        """
        sight = self._sights().get(key)
        if sight is None or sight.observation.ended is not None:
            return
        if sight.pod is not None and sight.pod.placed_at is not None:
            if sight.pod.deletion is None:
                await self._delete(Kind.POD, sight.pod)
        elif sight.job is not None and sight.job.deletion is None:
            await self._delete(Kind.JOB, sight.job, propagation="Foreground")
        # Last: what was not asked for must be asked for again.
        self._cluster.cache.mark_stopping(self._key, key)

    async def disown(self, job: JobView) -> None:
        """Delete a Job that is known not to be an attempt, whatever its labels say, and take it for none from now on.

        Raises:
            RuntimeUnavailableError: not now.
        """
        await self._dismiss(job)

    async def release(self, key: AttemptKey, *, final: bool) -> None:  # noqa: ARG002 - a trial keeps nothing here
        """Let the cluster remove an ended attempt; people find it for a while yet.

        Raises:
            RuntimeUnavailableError: not now.
        """
        sight = self._sights().get(key)
        if sight is None or sight.observation.ended is None:
            return
        if sight.job is not None and (sight.pod is None or sight.pod.terminal):
            await self._label_released(sight.job)
        elif sight.job is None or (sight.pod is not None and lost(sight.pod, self._cluster.clock())):
            await self._remove(sight)
        else:
            # What runs on beside the trial gets the time to end that any deletion gives it.
            await self._dismiss(sight.job)

    # How

    def _sights(self) -> Mapping[AttemptKey, Sight]:
        return self._cluster.cache.sights(self._key, self._cluster.clock())

    async def _create(self, launch: Launch, *, dry_run: bool = False) -> Document:
        try:
            job = build(self._study, self._trial(), launch, endpoint=self._endpoint)
        except ManifestError as error:
            raise self._refuse(StudyCause(reason="TemplateInvalid", message=str(error))) from error
        try:
            made = await self._cluster.api.create_job(job, dry_run=dry_run)
        except ApiUnavailableError as error:
            raise self._explained(error) from error
        except RequestRefusedError as error:
            made = await self._standing(launch.key, error)
        self._refused = None
        return made

    async def _standing(self, key: AttemptKey, refused: RequestRefusedError) -> Document:
        """The Job that stands under our name already, if it is ours.

        Looked for after every refusal: a used-up quota is said first, even if it is this very Job that uses it.
        """
        name = job_name(self._study, key)
        try:
            standing = await self._cluster.api.read_job(self._study.namespace, name)
        except RequestRefusedError as error:
            raise self._explained(refused if isinstance(error, NotFoundError) else error) from error
        if not is_ours(standing, self._study, key):
            raise self._refuse(causes.name_taken(name)) from refused
        return standing

    async def _check(self, job: JobView | None, launch: Launch) -> None:
        """See to it that a Job under our name was made for just this launch; any other is deleted, and refuses the start."""
        if job is not None and (job.released or job.launch != launch_digest(launch)):
            await self._dismiss(job)
            raise self._refuse(causes.left_over(job.identity.name))

    def _explained(self, error: ApiUnavailableError | RequestRefusedError) -> RuntimeUnavailableError:
        """What an error says about the study, if it does."""
        cause = causes.refusal(error.code, error.message) if error.code is not None else None
        return self._refuse(cause) if cause else _later(error)

    def _refuse(self, cause: StudyCause) -> StartRefusedError:
        self._refused = cause
        return StartRefusedError(cause)

    async def _label_released(self, job: JobView) -> None:
        patch = {
            "metadata": {"uid": job.identity.uid, "labels": {RELEASED_LABEL: "true"}},
            "spec": {"ttlSecondsAfterFinished": self._cluster.released_ttl},
        }
        try:
            patched = await self._cluster.api.patch_job(self._study.namespace, job.identity.name, patch)
        except RequestRefusedError as error:
            if await self._exists(job):
                raise _later(error) from error
            self._forget(Kind.JOB, job.identity)
        else:
            self._cluster.cache.apply(Kind.JOB, patched)

    async def _dismiss(self, job: JobView) -> None:
        """Delete a Job and, gracefully, its Pod, and see neither from now on.

        Without the label, which comes last, the Job is seen, so that what is done by half is done again.
        """
        if job.deletion is None:
            await self._delete(Kind.JOB, job, propagation="Foreground")
        if not job.released:
            await self._label_released(job)

    async def _exists(self, job: JobView) -> bool:
        """Whether that very Job is there, and not none or another one of its name."""
        try:
            found = await self._cluster.api.read_job(self._study.namespace, job.identity.name)
        except NotFoundError:
            return False
        except RequestRefusedError as error:
            raise _later(error) from error
        return bool(found["metadata"]["uid"] == job.identity.uid)

    async def _remove(self, sight: Sight) -> None:
        """Remove what would not go by itself: the kubelet of a Pod that was given up answers to nobody.

        Deleting the Pod alone is not enough: the Job waits for it to be Failed, and so does the finalizer that it has of
        the Job.
        """
        if sight.pod is not None:
            await self._delete(Kind.POD, sight.pod, grace=0, forget=True)
        if sight.job is not None:
            await self._delete(Kind.JOB, sight.job, propagation="Background", forget=True)

    async def _delete(self, kind: Kind, view: JobView | PodView, *, forget: bool = False, **options: Any) -> None:
        """Delete an object. What is to be forgotten counts as gone already while the last finalizer waits."""
        identity = view.identity
        try:
            answer = await self._cluster.api.delete(kind, self._study.namespace, identity.name, uid=identity.uid, **options)
        except (NotFoundError, ConflictError):
            self._forget(kind, identity)
        except RequestRefusedError as error:
            raise _later(error) from error
        else:
            if answer.get("kind") == kind:
                self._cluster.cache.apply(kind, answer, deleted=forget)
            else:
                self._forget(kind, identity)

    def _forget(self, kind: Kind, identity: Identity) -> None:
        """Take an object for gone before the watch says so."""
        gone = {"uid": identity.uid, "namespace": identity.study.namespace, "resourceVersion": str(identity.version)}
        self._cluster.cache.apply(kind, {"metadata": gone}, deleted=True)


def _later(error: ApiUnavailableError | RequestRefusedError) -> ApiUnavailableError:
    return error if isinstance(error, ApiUnavailableError) else ApiUnavailableError(error.message, code=error.code)
