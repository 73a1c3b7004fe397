"""Trials as Jobs of a real API server, with the real Job, TTL and garbage controllers. Of nodes there is a simulated one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from tests.cluster.waiting import until
from tests.integration.kubernetes.simulated_kubelet import SimulatedKubelet
from tests.support.kubernetes import ApiServer
from tests.support.namespaces import POD_SPEC, Namespace
from tests.unit.api.manifests import good

from tuning_operator.api.study import TrialTemplate
from tuning_operator.engine.facts import Observation, Outcome, Phase, StudyCause
from tuning_operator.runtime.kubernetes import client as client_module
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind, Sight
from tuning_operator.runtime.kubernetes.client import KubernetesApi
from tuning_operator.runtime.kubernetes.job import StudyRef, job_name
from tuning_operator.runtime.kubernetes.names import SELECTOR, STUDY_UID_LABEL
from tuning_operator.runtime.kubernetes.outcome import LINGER_SECONDS, LOST_AFTER_SECONDS
from tuning_operator.runtime.kubernetes.runtime import KubernetesRuntime, StartRefusedError, StudyRuntime
from tuning_operator.runtime.kubernetes.views import StudyKey
from tuning_operator.runtime.protocol import AttemptKey, Launch, Runtime, RuntimeUnavailableError

Document = dict[str, Any]

KEY: Final = AttemptKey(3, 0)
PATIENCE: Final = 90.0  # some controllers look every twenty seconds
TTL: Final = 1
PLAIN: Final[Document] = {"spec": dict(POD_SPEC)}


def launch(key: AttemptKey = KEY, *, parameters: str = '{"lr": 0.1}') -> Launch:
    told = {
        "TUNING_STUDY": "research/digits",
        "TUNING_TRIAL": str(key.trial),
        "TUNING_ROLE": "search",
        "TUNING_PARAMETERS": parameters,
    }
    return Launch(key=key, environment=told)


def with_container(**fields: Any) -> Document:
    return {"spec": {"containers": [{"name": "trainer", "image": "trainer:1", **fields}]}}


@dataclass
class World:
    """A study in a namespace of its own, its runtime, and the nodes."""

    server: ApiServer
    api: KubernetesApi
    kubelet: SimulatedKubelet
    study: StudyRef
    template: Document = field(default_factory=lambda: PLAIN)
    ahead: float = 0.0  # seconds that the runtime's clock is ahead of the cluster's

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The operator starts anew, and knows nothing."""
        self.cluster = KubernetesRuntime(self.api, ClusterCache(), clock=lambda: time.time() + self.ahead, released_ttl=TTL)
        self.runtime: StudyRuntime = self.cluster.for_study(self.study, self._trial, endpoint="http://gateway:8080")

    def _trial(self) -> TrialTemplate:
        return TrialTemplate.model_validate_json(json.dumps({"gpus": 0, "template": self.template}))

    @property
    def namespace(self) -> str:
        return self.study.namespace

    @property
    def space(self) -> Namespace:
        return Namespace(self.server, self.namespace)

    @property
    def sight(self) -> Sight | None:
        return self.cluster.cache.sights(StudyKey(self.study.namespace, self.study.uid), self.cluster.clock()).get(KEY)

    @property
    def observation(self) -> Observation | None:
        return self.runtime.observe().get(KEY)

    def end(self) -> tuple[Outcome, str] | None:
        """How the attempt ended, if it has."""
        ended = self.observation.ended if self.observation else None
        return (ended.outcome, ended.reason) if ended else None

    @property
    def pod(self) -> str:
        sight = self.sight
        assert sight is not None
        assert sight.pod is not None
        return sight.pod.identity.name

    async def sees(self, done: Callable[[], bool], what: str) -> None:
        """Look at the cluster until it is so."""
        loop = asyncio.get_running_loop()

        async def look() -> bool:
            await self.cluster.relist(self.namespace)
            await self.runtime.settle_doubts()
            return done()

        await asyncio.to_thread(
            until, lambda: asyncio.run_coroutine_threadsafe(look(), loop).result(), seconds=PATIENCE, what=what
        )

    async def start_pod(self) -> str:
        """Start the attempt, and wait for its Pod. Returns its name."""
        await self.runtime.start(launch())
        await self.sees(lambda: self.sight is not None and self.sight.pod is not None, "the Job controller makes a Pod")
        return self.pod

    async def start_running(self) -> str:
        """Start the attempt, and let it run. Returns the name of its Pod."""
        pod = await self.start_pod()
        self.kubelet.run(self.namespace, pod)
        await self.sees(lambda: self.observation is not None and self.observation.phase is Phase.RUNNING, "it runs")
        return pod

    async def sees_end(self) -> tuple[Outcome, str] | None:
        """Wait until the Job has ended too. Returns how the attempt did."""

        def over() -> bool:
            job = self.sight.job if self.sight else None
            return job is not None and (job.complete or job.failed) is not None

        await self.sees(over, "the Job ends")
        return self.end()

    async def sees_pod_gone(self) -> tuple[Outcome, str] | None:
        """Let the kubelet forget the Pod. Returns how the attempt ended as its Job remembers it."""
        self.kubelet.forget(self.namespace, self.pod)
        await self.sees(lambda: self.sight is not None and self.sight.pod is None, "the Pod is gone")
        return self.end()

    def create_foreign_job(self) -> str:
        """A Job of somebody else, under the name of ours. Returns the name."""
        name = job_name(self.study, KEY)
        template = {"spec": {**PLAIN["spec"], "restartPolicy": "Never"}}
        self.space.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}})
        return name

    async def sees_causes(self, *reasons: str) -> tuple[StudyCause, ...]:
        """Wait until these are what keeps trials from running, and return them."""
        await self.sees(lambda: tuple(cause.reason for cause in self.runtime.causes()) == reasons, f"causes {reasons}")
        return self.runtime.causes()


@pytest.fixture
async def api(api_server: ApiServer) -> AsyncIterator[KubernetesApi]:
    async with ApiClient(api_server.configuration()) as client:
        yield KubernetesApi(client)


@pytest.fixture
def world(api_server: ApiServer, namespace: str, api: KubernetesApi, kubelet: SimulatedKubelet) -> World:
    metadata = api_server.create_study(namespace, good())["metadata"]
    made = World(api_server, api, kubelet, StudyRef(namespace=namespace, name=metadata["name"], uid=metadata["uid"]))
    made.space.wait_ready()
    return made


# Start


async def test_starting_makes_one_job_and_the_job_one_pod(world: World) -> None:
    pod = await world.start_pod()
    assert [job["metadata"]["name"] for job in world.space.objects("jobs")] == [job_name(world.study, KEY)]
    assert [found["metadata"]["name"] for found in world.space.objects("pods")] == [pod]


async def test_a_started_attempt_is_known_before_any_event(world: World) -> None:
    runtime: Runtime = world.runtime
    await runtime.start(launch())
    assert runtime.observe() == {KEY: Observation(phase=Phase.PENDING)}


async def test_starting_twice_makes_one_job(world: World) -> None:
    await world.runtime.start(launch())
    await world.runtime.start(launch())
    assert len(world.space.objects("jobs")) == 1


async def test_starting_again_after_a_restart_is_success(world: World) -> None:
    await world.runtime.start(launch())
    world.restart()
    await world.runtime.start(launch())
    assert len(world.space.objects("jobs")) == 1
    assert world.observation is not None


async def test_starting_again_is_success_under_a_quota_that_the_job_itself_uses_up(world: World) -> None:
    await world.runtime.start(launch())
    world.space.limit(count__jobs_batch="1")
    world.restart()
    await world.runtime.start(launch())
    assert world.runtime.causes() == ()
    with pytest.raises(StartRefusedError, match="exceeded quota") as refused:
        await world.runtime.start(launch(AttemptKey(4, 0)))
    assert (refused.value.cause.reason, refused.value.cause.passing) == ("QuotaExceeded", True)


async def test_a_job_of_somebody_else_under_our_name_is_refused_and_left_alone(world: World) -> None:
    name = world.create_foreign_job()
    before = world.space.objects("jobs")[0]["spec"]
    with pytest.raises(StartRefusedError, match=f"NameTaken: Job {name}"):
        await world.runtime.start(launch())
    assert [cause.object for cause in world.runtime.causes()] == [f"Job/{name}"]
    assert world.space.objects("jobs")[0]["spec"] == before
    world.server.kubectl("delete", "job", name, f"--namespace={world.namespace}")
    await world.runtime.start(launch())
    assert world.runtime.causes() == ()


async def test_a_job_of_ours_that_was_made_for_other_parameters_makes_way(world: World) -> None:
    pod = await world.start_running()
    (before,) = world.space.objects("jobs")
    for _ in range(2):
        with pytest.raises(StartRefusedError, match=r"NameTaken: Job .* is being deleted"):
            await world.runtime.start(launch(parameters='{"lr": 0.2}'))
        assert world.runtime.observe() == {}, "its end must not be taken for that of the new attempt"
    assert [cause.passing for cause in world.runtime.causes()] == [True]
    assert world.cluster.cache.holder(world.namespace, world.space.objects("pods")[0]["metadata"]["uid"]) is None
    world.kubelet.end(world.namespace, pod, 0, message='{"accuracy": 0.9}')
    world.kubelet.obey(world.namespace)
    until(lambda: world.space.objects("jobs") == [], seconds=PATIENCE, what="the Job is gone")
    await world.runtime.start(launch(parameters='{"lr": 0.2}'))
    assert world.runtime.observe() == {KEY: Observation(phase=Phase.PENDING)}
    assert world.space.objects("jobs")[0]["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_released_job_under_the_name_of_a_new_one_makes_way(world: World) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, 0)
    await world.sees_end()
    world.cluster.released_ttl = 3600
    await world.runtime.release(KEY, final=True)
    world.restart()
    with pytest.raises(StartRefusedError, match="is being deleted"):
        await world.runtime.start(launch())
    until(lambda: world.space.objects("jobs") == [], seconds=PATIENCE, what="the Job is gone")
    await world.runtime.start(launch())


async def test_a_disowned_job_is_no_attempt_any_more_also_after_a_restart(world: World) -> None:
    await world.start_running()
    await world.runtime.disown(world.runtime.jobs()[KEY])
    assert world.runtime.observe() == {} == world.runtime.jobs()
    world.restart()
    await world.cluster.relist(world.namespace)
    assert world.runtime.observe() == {}
    world.kubelet.obey(world.namespace)
    until(lambda: world.space.objects("jobs") == [] == world.space.objects("pods"), seconds=PATIENCE, what="Job and Pod are gone")


async def test_disowning_what_is_gone_is_success(world: World) -> None:
    await world.runtime.start(launch())
    job = world.runtime.jobs()[KEY]
    await world.runtime.disown(job)
    until(lambda: world.space.objects("jobs") == [], seconds=PATIENCE, what="the Job is gone")
    await world.runtime.disown(job)


async def test_a_template_as_users_write_it_is_taken(world: World) -> None:
    world.template = {
        "spec": {
            "containers": [
                {
                    "name": "trainer",
                    "image": "trainer:1",
                    "newerThanThisCluster": {"enabled": True},
                    "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": 0.5, "memory": "1Gi"}},
                }
            ],
            "terminationGracePeriodSeconds": 5,
            "volumes": None,
        }
    }
    await world.start_pod()
    limits = world.space.objects("pods")[0]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"nvidia.com/gpu": "1", "cpu": "500m", "memory": "1Gi"}


# Before the first start


async def test_a_dry_run_makes_nothing(world: World) -> None:
    await world.runtime.dry_run(launch())
    assert world.space.objects("jobs") == []
    assert world.runtime.observe() == {}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param(with_container(env=[{"name": "EPOCHS", "value": 3}]), "cannot unmarshal number", id="a number for a text"),
        pytest.param(with_container(volumeMounts=[{"name": "data", "mountPath": "/data"}]), "Not found", id="no such volume"),
        pytest.param(with_container(resources={"limits": {"cpu": "much"}}), "quantities must match", id="no quantity"),
        pytest.param(with_container(resources={"limits": {"nvidia.com/gpu": 1.5}}), "is not a whole number", id="half a GPU"),
        pytest.param(with_container(comand=["train"]), r'unknown field "\S+\.comand"', id="a typing error in a field's name"),
    ],
)
async def test_a_dry_run_tells_of_a_template_that_is_not_valid(world: World, template: Document, said: str) -> None:
    world.template = template
    with pytest.raises(StartRefusedError, match=said):
        await world.runtime.dry_run(launch())
    assert [cause.reason for cause in world.runtime.causes()] == ["TemplateInvalid"]
    world.template = PLAIN
    await world.runtime.dry_run(launch())
    assert world.runtime.causes() == ()


async def test_a_namespace_that_is_gone_is_a_cause_of_its_study(world: World) -> None:
    nowhere = StudyRef(namespace="nowhere", name="digits", uid=world.study.uid)
    runtime = world.cluster.for_study(nowhere, world.runtime._trial, endpoint=None)
    with pytest.raises(StartRefusedError, match='namespaces "nowhere" not found'):
        await runtime.start(launch())
    assert [cause.reason for cause in runtime.causes()] == ["NamespaceTerminating"]


# How attempts end


@dataclass(frozen=True, kw_only=True)
class End:
    """What a kubelet writes at the end, what that is, and what the Job alone remembers of it."""

    code: int
    outcome: tuple[Outcome, str]
    remembered: tuple[Outcome, str]
    written: Mapping[str, str] = field(default_factory=dict)


ENDS: Final = {
    "a result": End(
        code=0,
        written={"message": '{"accuracy": 0.9}'},
        outcome=(Outcome.SUCCEEDED, "Completed"),
        remembered=(Outcome.DISRUPTED, "ResultLost"),
    ),
    "success without a result": End(
        code=0, outcome=(Outcome.SUCCEEDED, "Completed"), remembered=(Outcome.DISRUPTED, "ResultLost")
    ),
    "interrupted": End(code=75, outcome=(Outcome.DISRUPTED, "Interrupted"), remembered=(Outcome.DISRUPTED, "Interrupted")),
    "a wrong configuration": End(
        code=78,
        outcome=(Outcome.CONFIGURATION, "ConfigurationError"),
        remembered=(Outcome.CONFIGURATION, "ConfigurationError"),
    ),
    "a crash": End(code=1, outcome=(Outcome.FAILED, "ExitCode"), remembered=(Outcome.FAILED, "ExitCode")),
    "out of memory, which a Job forgets": End(
        code=137,
        written={"reason": "OOMKilled"},
        outcome=(Outcome.INFEASIBLE, "OOMKilled"),
        remembered=(Outcome.DISRUPTED, "Deleted"),
    ),
    "evicted": End(
        code=143,
        written={"disruption": "EvictionByEvictionAPI"},
        outcome=(Outcome.DISRUPTED, "Evicted"),
        remembered=(Outcome.DISRUPTED, "Disrupted"),
    ),
    "evicted, and left with 75": End(
        code=75,
        written={"disruption": "PreemptionByScheduler"},
        outcome=(Outcome.DISRUPTED, "Preempted"),
        remembered=(Outcome.DISRUPTED, "Disrupted"),
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_an_end_is_read_from_the_pod_and_later_from_the_job(world: World, end: End) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, end.code, **end.written)
    assert await world.sees_end() == end.outcome
    assert await world.sees_pod_gone() == end.remembered


async def test_a_job_that_is_told_of_before_its_pod_loses_no_result(world: World) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, 0, message='{"val_accuracy": 0.9}')
    await world.sees(
        lambda: world.sight is not None and world.sight.job is not None and world.sight.job.complete is not None, "it ends"
    )
    world.restart()
    jobs = await world.api.list_all(Kind.JOB, world.namespace, labels=SELECTOR)
    world.cluster.cache.replace(Kind.JOB, jobs.items, version=jobs.version, namespace=world.namespace)
    assert world.end() is None, "of its Pod nothing has been heard"
    await world.runtime.settle_doubts()
    assert world.end() == (Outcome.SUCCEEDED, "Completed")


async def test_a_pod_deleted_by_hand_is_a_disruption(world: World) -> None:
    pod = await world.start_running()
    world.server.kubectl("delete", "pod", pod, f"--namespace={world.namespace}", "--wait=false")
    world.kubelet.end(world.namespace, pod, 143)
    assert await world.sees_end() == (Outcome.DISRUPTED, "Deleted")
    assert await world.sees_pod_gone() == (Outcome.DISRUPTED, "Deleted")
    assert world.space.objects("pods") == []


async def test_a_job_deleted_by_hand_is_known_no_more(world: World) -> None:
    await world.start_pod()
    world.server.kubectl("delete", "job", job_name(world.study, KEY), f"--namespace={world.namespace}")
    await world.sees(lambda: world.observation is None, "Job and Pod are gone")


# Stop


async def test_a_running_trial_is_asked_to_stop_with_its_grace_period(world: World) -> None:
    world.template = {"spec": {**PLAIN["spec"], "terminationGracePeriodSeconds": 17}}
    pod = await world.start_running()
    await world.runtime.stop(KEY)
    assert world.observation is not None
    assert (world.observation.phase, world.observation.stopping) == (Phase.RUNNING, True)
    assert world.space.objects("pods")[0]["metadata"]["deletionGracePeriodSeconds"] == 17
    world.kubelet.end(world.namespace, pod, 75)
    assert await world.sees_end() == (Outcome.DISRUPTED, "Interrupted")
    assert await world.sees_pod_gone() == (Outcome.DISRUPTED, "Interrupted")


async def test_a_trial_that_was_asked_to_stop_says_so_after_a_restart(world: World) -> None:
    pod = await world.start_running()
    await world.runtime.stop(KEY)
    world.restart()
    await world.cluster.relist(world.namespace)
    assert world.observation is not None
    assert world.observation.stopping
    world.kubelet.end(world.namespace, pod, 143)
    assert await world.sees_end() == (Outcome.DISRUPTED, "Deleted")
    assert await world.sees_pod_gone() == (Outcome.DISRUPTED, "Deleted")


async def test_a_trial_that_leaves_its_result_when_asked_to_stop_has_it(world: World) -> None:
    pod = await world.start_running()
    await world.runtime.stop(KEY)
    await world.runtime.stop(KEY)
    world.kubelet.end(world.namespace, pod, 0, message='{"accuracy": 0.9}')
    assert await world.sees_end() == (Outcome.SUCCEEDED, "Completed")


async def test_a_pod_that_waits_for_a_node_is_stopped_with_its_job(world: World) -> None:
    await world.start_pod()
    await world.runtime.stop(KEY)
    assert world.observation is not None
    assert (world.observation.phase, world.observation.stopping) == (Phase.PENDING, True)
    await world.sees(lambda: world.observation is None, "Job and Pod are gone")
    assert world.space.objects("jobs") == world.space.objects("pods") == []


async def test_a_job_without_pod_is_stopped_by_deleting_it(world: World) -> None:
    world.space.limit(pods="0")
    await world.runtime.start(launch())
    await world.runtime.stop(KEY)
    assert world.observation is None or world.observation.stopping
    await world.sees(lambda: world.observation is None, "the Job is gone")
    assert world.space.objects("jobs") == []


async def test_stopping_what_is_gone_is_success(world: World) -> None:
    await world.start_pod()
    world.server.kubectl("delete", "job", job_name(world.study, KEY), f"--namespace={world.namespace}", "--cascade=foreground")
    until(lambda: world.space.objects("pods") == [], seconds=PATIENCE, what="the Pod is gone")
    await world.runtime.stop(KEY)
    await world.runtime.stop(KEY)
    await world.runtime.stop(AttemptKey(99, 0))


# Release


async def test_a_released_job_and_its_pod_are_removed_after_their_time_to_live(world: World) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, 0, message='{"accuracy": 0.9}')
    await world.sees_end()
    assert "ttlSecondsAfterFinished" not in world.space.objects("jobs")[0]["spec"]
    await world.runtime.release(KEY, final=True)
    assert world.runtime.observe() == {}
    until(
        lambda: world.space.objects("jobs") == [] == world.space.objects("pods"),
        seconds=PATIENCE,
        what="the TTL controller removes them",
    )


async def test_a_job_released_before_its_job_controller_saw_the_end_is_removed_too(world: World) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, 1)
    await world.sees(lambda: world.end() is not None, "the Pod ends")
    await world.runtime.release(KEY, final=True)
    until(lambda: world.space.objects("jobs") == [], seconds=PATIENCE, what="the TTL controller removes it")


async def test_releasing_what_is_gone_is_success(world: World) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, 0)
    await world.sees_end()
    world.server.kubectl("delete", "job", job_name(world.study, KEY), f"--namespace={world.namespace}", "--cascade=foreground")
    until(lambda: world.space.objects("pods") == [], seconds=PATIENCE, what="the Pod is gone")
    for _ in range(3):
        await world.runtime.release(KEY, final=True)
    assert world.runtime.observe() == {}


async def test_a_job_made_by_hand_under_the_name_of_an_ended_one_is_left_alone(world: World) -> None:
    pod = await world.start_running()
    world.kubelet.end(world.namespace, pod, 0)
    await world.sees_end()
    world.server.kubectl("delete", "job", job_name(world.study, KEY), f"--namespace={world.namespace}")
    world.create_foreign_job()
    await world.runtime.release(KEY, final=True)
    assert "ttlSecondsAfterFinished" not in world.space.objects("jobs")[0]["spec"]


async def test_a_running_attempt_is_not_released(world: World) -> None:
    await world.start_running()
    await world.runtime.release(KEY, final=True)
    assert world.observation is not None


async def test_the_pod_of_a_node_that_does_not_answer_is_removed_with_its_job(world: World) -> None:
    await world.start_running()
    await world.runtime.stop(KEY)
    assert world.end() is None
    world.ahead = 30 + LOST_AFTER_SECONDS + 5
    assert world.end() == (Outcome.DISRUPTED, "NodeLost")
    await world.runtime.release(KEY, final=True)
    assert world.runtime.observe() == {}
    until(lambda: world.space.objects("jobs") == [] == world.space.objects("pods"), seconds=PATIENCE, what="Job and Pod are gone")


async def test_a_trial_ends_although_a_container_beside_it_never_does(world: World) -> None:
    proxy = {"name": "proxy", "image": "proxy:1"}
    world.template = {"spec": {**PLAIN["spec"], "containers": [*PLAIN["spec"]["containers"], proxy]}}
    pod = await world.start_running()
    world.kubelet.end_beside_another(world.namespace, pod, 0, message='{"accuracy": 0.9}')
    await world.sees(lambda: world.sight is not None and world.sight.again_at is not None, "the trial has left")
    assert world.end() is None
    world.ahead = LINGER_SECONDS + 5
    assert world.end() == (Outcome.SUCCEEDED, "Completed")
    await world.runtime.release(KEY, final=True)
    assert world.runtime.observe() == {}
    (deleted,) = world.space.objects("pods")
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 30
    world.restart()
    await world.cluster.relist(world.namespace)
    assert world.runtime.observe() == {}, "its Job waits for the Pod, and is not taken for an attempt"
    world.kubelet.obey(world.namespace)
    until(lambda: world.space.objects("jobs") == [] == world.space.objects("pods"), seconds=PATIENCE, what="Job and Pod are gone")


# What a study must mend


async def test_our_jobs_pass_pod_security_restricted(world: World) -> None:
    world.space.enforce_restricted()
    await world.start_pod()


async def test_pod_security_that_refuses_the_pod_is_a_cause_until_it_is_lifted(world: World) -> None:
    world.space.enforce_restricted()
    world.template = {"spec": {**PLAIN["spec"], "hostNetwork": True}}
    await world.runtime.start(launch())
    (cause,) = await world.sees_causes("PodSecurityViolated")
    assert (cause.object, cause.passing) == ("PodSecurity/restricted:latest", False)
    assert "host namespaces" in cause.message
    world.space.enforce_nothing()
    await world.sees(lambda: world.sight is not None and world.sight.pod is not None, "the Pod is made after all")
    assert world.runtime.causes() == ()


async def test_a_used_up_quota_is_a_passing_cause_until_it_is_raised(world: World) -> None:
    world.space.limit(pods="0")
    await world.runtime.start(launch())
    (cause,) = await world.sees_causes("QuotaExceeded")
    assert (cause.object, cause.passing) == ("ResourceQuota/quota", True)
    world.server.kubectl("delete", "resourcequota", "quota", f"--namespace={world.namespace}")
    await world.sees(lambda: world.sight is not None and world.sight.pod is not None, "the Pod is made after all")
    assert world.runtime.causes() == ()


async def test_a_used_up_quota_is_mere_waiting_while_another_trial_runs(world: World) -> None:
    await world.start_running()
    world.space.limit(pods="1")
    other = AttemptKey(4, 0)
    await world.runtime.start(launch(other))
    key = StudyKey(world.study.namespace, world.study.uid)

    def refused() -> bool:
        return world.cluster.cache.sights(key, world.cluster.clock())[other].cause is not None

    await world.sees(refused, "the Job controller says why it makes no second Pod")
    assert world.runtime.causes() == ()


async def test_a_quota_that_wants_limits_is_no_passing_cause(world: World) -> None:
    world.space.limit(limits_cpu="4")
    await world.runtime.start(launch())
    (cause,) = await world.sees_causes("QuotaNeedsResources")
    assert (cause.object, cause.passing) == ("ResourceQuota/quota", False)


# Lists


async def test_a_list_of_several_pages_is_read_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAGE", 2)
    keys = [AttemptKey(number, 0) for number in range(5)]
    for key in keys:
        await world.runtime.start(launch(key))
    world.restart()
    assert await world.cluster.relist() >= {StudyKey(world.study.namespace, world.study.uid)}
    assert sorted(world.runtime.observe()) == keys


async def test_jobs_and_pods_of_others_are_not_listed(world: World) -> None:
    world.space.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": PLAIN["spec"]})
    await world.start_pod()
    listing = await world.api.list_all(Kind.POD, world.namespace, labels=STUDY_UID_LABEL)
    assert [item["metadata"]["name"] for item in listing.items] == [world.pod]


# Out of reach


async def test_an_api_server_that_does_not_answer_is_asked_again_later(world: World) -> None:
    async with ApiClient(Configuration(host="http://127.0.0.1:1", client_session_kwargs={"trust_env": False})) as nowhere:
        cluster = KubernetesRuntime(KubernetesApi(nowhere), ClusterCache(), clock=time.time)
        runtime = cluster.for_study(world.study, world.runtime._trial, endpoint=None)
        with pytest.raises(RuntimeUnavailableError, match="the Kubernetes API is not available"):
            await runtime.start(launch())
        assert runtime.causes() == ()
