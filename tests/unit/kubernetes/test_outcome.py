"""Why an attempt on a cluster ended: a row per way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from tests.unit.kubernetes.objects import NOON, condition, failed_job, job, pod, running, terminated, waiting

from tuning_operator.engine.facts import Ended, Outcome, StudyCause
from tuning_operator.runtime.kubernetes.causes import WarningEvent
from tuning_operator.runtime.kubernetes.outcome import LINGER_SECONDS, LOST_AFTER_SECONDS, outcome
from tuning_operator.runtime.kubernetes.views import job_view, pod_view

RESULT: Final = '{"val_accuracy": 0.97}'
NOW: Final = NOON + 1000
KUBELET: Final = "TerminationByKubelet"
UNKNOWN: Final = terminated(
    137, "The container could not be located when the pod was terminated", reason="ContainerStatusUnknown", at=None
)


def disrupted(reason: str, message: str = "", *, at: float = 50) -> tuple[dict[str, Any], ...]:
    return (condition("DisruptionTarget", reason, message, at=at),)


def see(
    a_job: dict[str, Any] | None,
    a_pod: dict[str, Any] | None,
    *,
    stop_requested: bool = False,
    events: tuple[WarningEvent, ...] = (),
    now: float = NOW,
) -> Ended | StudyCause | None:
    return outcome(
        job_view(a_job) if a_job else None,
        pod_view(a_pod) if a_pod else None,
        now=now,
        stop_requested=stop_requested,
        warnings=events,
    )


@dataclass(frozen=True)
class Row:
    sentence: str
    pod: dict[str, Any] | None
    outcome: Outcome
    reason: str
    says: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    job: dict[str, Any] | None = field(default_factory=job)
    stop_requested: bool = False


ENDS: Final = (
    # The contract's exit codes.
    Row(
        "exit 0 with a result in the termination message succeeds",
        pod("Succeeded", terminated(0, RESULT)),
        Outcome.SUCCEEDED,
        "Completed",
        metrics={"val_accuracy": 0.97},
    ),
    Row("exit 0 without a result has no metrics", pod("Succeeded", terminated(0)), Outcome.SUCCEEDED, "Completed"),
    Row(
        "a result that is no JSON is a failure that says so",
        pod("Succeeded", terminated(0, "val_accuracy=0.97")),
        Outcome.FAILED,
        "ResultInvalid",
        "not JSON",
    ),
    Row(
        "a result that the kubelet cut is a failure that says how much is kept",
        pod("Succeeded", terminated(0, '{"a": ' + "1" * 4090)),
        Outcome.FAILED,
        "ResultInvalid",
        "cut at 4096 bytes",
    ),
    Row(
        "among four containers each keeps three kilobytes",
        pod("Succeeded", terminated(0, '{"a": ' + "1" * 3066), *(terminated(0, name=n) for n in "abc")),
        Outcome.FAILED,
        "ResultInvalid",
        "cut at 3072 bytes",
    ),
    Row(
        "exit 0 after a child was killed for memory is a success",
        pod("Succeeded", terminated(0, RESULT, reason="OOMKilled")),
        Outcome.SUCCEEDED,
        "Completed",
        metrics={"val_accuracy": 0.97},
    ),
    Row("exit 75 is an interruption", pod("Failed", terminated(75, "saved")), Outcome.DISRUPTED, "Interrupted", "saved"),
    Row(
        "exit 78 is the study's fault, with the last words of the log",
        pod("Failed", terminated(78, "no such data set\n")),
        Outcome.CONFIGURATION,
        "ConfigurationError",
        "no such data set",
    ),
    Row(
        "another exit code is a failure with the last words of the log",
        pod("Failed", terminated(1, "epoch 1\nValueError: negative\n")),
        Outcome.FAILED,
        "ExitCode",
        "exit code 1: epoch 1 | ValueError: negative",
    ),
    Row("a crash names its signal", pod("Failed", terminated(139)), Outcome.FAILED, "Signal", "ended by SIGSEGV"),
    Row(
        "a command that is not in the image is the study's fault",
        pod("Failed", terminated(128, 'exec: "trane": executable file not found in $PATH: unknown', reason="StartError")),
        Outcome.CONFIGURATION,
        "CommandNotStarted",
        "trane",
    ),
    Row(
        "a container that the runtime could not start is the node's fault",
        pod("Failed", terminated(128, "nvidia-container-cli: initialization error", reason="StartError")),
        Outcome.DISRUPTED,
        "ContainerNotStarted",
        "nvidia-container-cli",
    ),
    # Its own limits.
    Row(
        "out of memory is caused by the parameters",
        pod("Failed", terminated(137, reason="OOMKilled")),
        Outcome.INFEASIBLE,
        "OOMKilled",
        "more memory than its limit",
    ),
    Row(
        "a child killed for memory explains the failure of its parent",
        pod("Failed", terminated(1, "RuntimeError: DataLoader worker", reason="OOMKilled")),
        Outcome.INFEASIBLE,
        "OOMKilled",
        "DataLoader worker",
    ),
    Row(
        "more disk than the Pod's own limit is caused by the parameters",
        pod(
            "Failed",
            UNKNOWN,
            reason="Evicted",
            message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
        ),
        Outcome.INFEASIBLE,
        "StorageLimit",
        "exceeds the total limit of containers 1Gi.",
    ),
    Row(
        "longer than the Pod's activeDeadlineSeconds is caused by the parameters",
        pod("Failed", terminated(137), reason="DeadlineExceeded", message="Pod was active on the node longer than the deadline"),
        Outcome.INFEASIBLE,
        "DeadlineExceeded",
        "longer than",
    ),
    Row(
        "longer than the Job's activeDeadlineSeconds is no deletion by hand",
        pod("Failed", terminated(137), deleted=(58, 30)),
        Outcome.INFEASIBLE,
        "DeadlineExceeded",
        job=job(condition("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")),
    ),
    # Somebody made an end of it.
    Row(
        "an eviction through the API is a disruption",
        pod("Failed", terminated(143), conditions=disrupted("EvictionByEvictionAPI", "Eviction API: evicting"), deleted=(80, 30)),
        Outcome.DISRUPTED,
        "Evicted",
        "Eviction API",
    ),
    Row(
        "preemption by the scheduler is a disruption",
        pod("Failed", terminated(1), conditions=disrupted("PreemptionByScheduler"), deleted=(80, 30)),
        Outcome.DISRUPTED,
        "Preempted",
        "higher priority",
    ),
    Row(
        "deletion by the taint manager is a disruption",
        pod("Failed", terminated(137), conditions=disrupted("DeletionByTaintManager", "Taint manager: deleting")),
        Outcome.DISRUPTED,
        "NodeTainted",
        "Taint manager",
    ),
    Row(
        "a Pod whose node is gone is failed by the Pod garbage collector: a disruption",
        pod("Failed", running(), conditions=disrupted("DeletionByPodGC", "PodGC: node no longer exists"), deleted=(50, 0)),
        Outcome.DISRUPTED,
        "NodeLost",
        "node no longer exists",
    ),
    Row(
        "node pressure is a disruption of its own kind",
        pod(
            "Failed",
            terminated(137),
            conditions=disrupted(KUBELET),
            reason="Evicted",
            message="The node was low on resource: memory. ",
        ),
        Outcome.DISRUPTED,
        "NodePressure",
        "low on resource: memory.",
    ),
    Row(
        "killed for memory while the node ran short is the node's fault",
        pod("Failed", terminated(137, reason="OOMKilled"), conditions=disrupted(KUBELET), reason="Evicted"),
        Outcome.DISRUPTED,
        "NodePressure",
    ),
    Row(
        "a node that shuts down is a disruption",
        pod("Failed", terminated(143), conditions=disrupted(KUBELET), reason="Terminated", message="imminent node shutdown"),
        Outcome.DISRUPTED,
        "NodeShutdown",
        "node shutdown",
    ),
    Row(
        "a critical Pod on its node preempts",
        pod("Failed", terminated(143), conditions=disrupted(KUBELET), reason="Preempting"),
        Outcome.DISRUPTED,
        "Preempted",
    ),
    Row(
        "a cause of disruption that nobody here knows is a disruption",
        pod("Failed", terminated(1), conditions=disrupted("DeletionByDescheduler")),
        Outcome.DISRUPTED,
        "Disrupted",
        "DeletionByDescheduler",
    ),
    Row(
        "a Pod deleted by hand is a disruption",
        pod("Failed", terminated(143), deleted=(85, 30)),
        Outcome.DISRUPTED,
        "Deleted",
        "deleted",
    ),
    Row(
        "a Pod deleted by hand before it was scheduled is a disruption",
        pod("Failed", deleted=(55, 30)),
        Outcome.DISRUPTED,
        "Deleted",
    ),
    Row(
        "a failure before the deletion is a failure",
        pod("Failed", terminated(1, at=54), deleted=(85, 30)),
        Outcome.FAILED,
        "ExitCode",
    ),
    Row(
        "a failure in the second of the deletion is a disruption",
        pod("Failed", terminated(1, at=55), deleted=(85, 30)),
        Outcome.DISRUPTED,
        "Deleted",
    ),
    Row(
        "a failure before the disruption is a failure",
        pod("Failed", terminated(1, at=49), conditions=disrupted("DeletionByPodGC")),
        Outcome.FAILED,
        "ExitCode",
    ),
    Row(
        "a Pod that Kueue takes from a running Job is a disruption",
        pod("Failed", terminated(143), deleted=(85, 30)),
        Outcome.DISRUPTED,
        "Requeued",
        "Kueue",
        job=job(suspend=True),
    ),
    Row(
        "a result written while it was evicted counts",
        pod("Failed", terminated(0, RESULT), conditions=disrupted("EvictionByEvictionAPI"), deleted=(80, 30)),
        Outcome.SUCCEEDED,
        "Completed",
        metrics={"val_accuracy": 0.97},
    ),
    Row(
        "exit 0 without a result while it was evicted is a disruption",
        pod("Succeeded", terminated(0), conditions=disrupted("EvictionByEvictionAPI"), deleted=(80, 30)),
        Outcome.DISRUPTED,
        "Evicted",
    ),
    Row(
        "half a result while it was deleted is a disruption",
        pod("Succeeded", terminated(0, '{"val_'), deleted=(80, 30)),
        Outcome.DISRUPTED,
        "Deleted",
    ),
    Row(
        "ending because we asked is an interruption, whatever the code",
        pod("Failed", terminated(78), deleted=(80, 30)),
        Outcome.DISRUPTED,
        "Interrupted",
        "asked to stop",
        stop_requested=True,
    ),
    Row(
        "a result written when asked to stop counts",
        pod("Succeeded", terminated(0, '{"pruned": true, "val_accuracy": 0.5}'), deleted=(80, 30)),
        Outcome.SUCCEEDED,
        "Completed",
        metrics={"val_accuracy": 0.5},
        stop_requested=True,
    ),
    # The kubelet.
    Row(
        "a container that the kubelet lost sight of is a disruption",
        pod("Failed", UNKNOWN),
        Outcome.DISRUPTED,
        "ContainerStatusUnknown",
    ),
    Row(
        "a device that fell ill between scheduler and kubelet is a disruption",
        pod("Failed", reason="UnexpectedAdmissionError", message="Pod was rejected: Allocate failed due to no healthy devices"),
        Outcome.DISRUPTED,
        "NodeRejected",
        "UnexpectedAdmissionError: Pod was rejected: Allocate failed",
    ),
    Row(
        "CPUs that went in between are a disruption",
        pod("Failed", reason="OutOfcpu", message="Pod was rejected: Node didn't have enough resource: cpu"),
        Outcome.DISRUPTED,
        "NodeRejected",
        "OutOfcpu",
    ),
    Row(
        "a label that the node lost is a disruption, also for a Pod that ran",
        pod("Failed", running(), reason="NodeAffinity", message="Pod was rejected: Predicate NodeAffinity failed"),
        Outcome.DISRUPTED,
        "NodeRejected",
        "NodeAffinity",
    ),
    Row(
        "a node that is short already when the Pod arrives is node pressure",
        pod("Failed", reason="Evicted", message="Pod was rejected: The node had condition: [DiskPressure]. "),
        Outcome.DISRUPTED,
        "NodePressure",
        "DiskPressure",
    ),
    Row(
        "an older kubelet's rejection says no more than its reason",
        pod("Failed", reason="OutOfnvidia.com/gpu"),
        Outcome.DISRUPTED,
        "NodeRejected",
        "OutOfnvidia.com/gpu",
    ),
    Row(
        "a sysctl that no node allows is the study's fault",
        pod("Failed", reason="SysctlForbidden", message='forbidden sysctl: "kernel.msgmax" not allowlisted'),
        Outcome.CONFIGURATION,
        "NodeRejected",
        "kernel.msgmax",
    ),
    Row("a Pod that failed and says nothing is a disruption", pod("Failed", running()), Outcome.DISRUPTED, "Lost"),
    # Other containers.
    Row(
        "a sidecar that fails after the trial succeeded changes nothing",
        pod("Failed", terminated(0, RESULT), terminated(1, name="metrics")),
        Outcome.SUCCEEDED,
        "Completed",
        metrics={"val_accuracy": 0.97},
    ),
    Row(
        "a sidecar that failed does not explain the trial's failure",
        pod("Failed", terminated(2, "mine"), terminated(75, name="metrics")),
        Outcome.FAILED,
        "ExitCode",
        "exit code 2: mine",
    ),
    Row(
        "the trainer is found by the name in the template",
        pod("Succeeded", terminated(1, name="istio-proxy"), terminated(0, RESULT, name="train"), trainer="train"),
        Outcome.SUCCEEDED,
        "Completed",
        metrics={"val_accuracy": 0.97},
    ),
    Row(
        "an init container that fails is a failure with its name",
        pod("Failed", waiting("PodInitializing"), init=(terminated(0, name="a"), terminated(1, "404", name="fetch"))),
        Outcome.FAILED,
        "InitContainerFailed",
        "init container fetch: exit code 1: 404",
    ),
    Row(
        "an init container may say that the study is at fault",
        pod("Failed", waiting("PodInitializing"), init=(terminated(78, "no bucket", name="fetch"),)),
        Outcome.CONFIGURATION,
        "ConfigurationError",
        "init container fetch: no bucket",
    ),
    Row(
        "an init container that the kubelet lost sight of is a disruption",
        pod("Failed", waiting("PodInitializing"), init=(UNKNOWN | {"name": "fetch"},)),
        Outcome.DISRUPTED,
        "ContainerStatusUnknown",
        "fetch",
    ),
    # The Pod is gone, its Job remembers.
    Row(
        "a Job remembers that its Pod was disrupted",
        None,
        Outcome.DISRUPTED,
        "Disrupted",
        job=failed_job("Pod research/digits-1 has condition DisruptionTarget matching FailJob rule at index 0"),
    ),
    Row(
        "a Job remembers exit code 75",
        None,
        Outcome.DISRUPTED,
        "Interrupted",
        job=failed_job("Container trainer for pod research/d-1 failed with exit code 75 matching FailJob rule at index 1"),
    ),
    Row(
        "a Job remembers exit code 78",
        None,
        Outcome.CONFIGURATION,
        "ConfigurationError",
        "container trainer: exit code 78",
        job=failed_job("Container trainer for pod research/d-1 failed with exit code 78 matching FailJob rule at index 2"),
    ),
    Row(
        "a Job remembers another exit code and whose it was",
        None,
        Outcome.FAILED,
        "ExitCode",
        "container fetch: exit code 1",
        job=failed_job("Container fetch for pod research/d-1 failed with exit code 1 matching FailJob rule at index 3"),
    ),
    Row(
        "a Pod that a signal ended and that is gone was deleted: what ends by itself stays",
        None,
        Outcome.DISRUPTED,
        "Deleted",
        job=failed_job("Container trainer for pod research/d-1 failed with exit code 143 matching FailJob rule at index 3"),
    ),
    Row(
        "a Job that remembers no exit code lost its Pod",
        None,
        Outcome.DISRUPTED,
        "Lost",
        job=failed_job("Job has reached the specified backoff limit", reason="BackoffLimitExceeded"),
    ),
    Row(
        "a Job remembers its deadline",
        None,
        Outcome.INFEASIBLE,
        "DeadlineExceeded",
        job=failed_job("Job was active longer than specified deadline", reason="DeadlineExceeded"),
    ),
    Row(
        "a Job that we asked to stop was interrupted",
        None,
        Outcome.DISRUPTED,
        "Interrupted",
        job=failed_job("Container trainer for pod research/d-1 failed with exit code 1 matching FailJob rule at index 3"),
        stop_requested=True,
    ),
    Row(
        "a suspended Job that failed lost its Pod to Kueue, whatever the Pod's exit code",
        None,
        Outcome.DISRUPTED,
        "Requeued",
        job=failed_job(
            "Container trainer for pod research/d-1 failed with exit code 1 matching FailJob rule at index 3", suspend=True
        ),
    ),
    Row(
        "a complete Job whose Pod is deleted lost the result, unless the gateway has it",
        None,
        Outcome.DISRUPTED,
        "ResultLost",
        job=job(condition("Complete", "CompletionsReached")),
    ),
    # The Job is gone.
    Row("a Pod without a Job ends like any other", pod("Failed", terminated(1)), Outcome.FAILED, "ExitCode", job=None),
)


@pytest.mark.parametrize("row", ENDS, ids=lambda row: row.sentence)
def test_an_attempt_ends(row: Row) -> None:
    ended = see(row.job, row.pod, stop_requested=row.stop_requested)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.reason) == (row.outcome, row.reason)
    assert row.says in ended.message
    assert ended.metrics == row.metrics


@dataclass(frozen=True)
class Cause:
    sentence: str
    pod: dict[str, Any] | None
    reason: str
    object: str
    says: str = ""
    passing: bool = False
    events: tuple[WarningEvent, ...] = ()


def unscheduled(message: str) -> dict[str, Any]:
    return pod("Pending", conditions=(condition("PodScheduled", "Unschedulable", message, status="False"),))


def placed(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return pod("Pending", *containers, init=init, conditions=(condition("PodScheduled", ""),))


CREATING: Final = placed(waiting("ContainerCreating"))

CAUSES: Final = (
    Cause(
        "an image that is being tried again",
        placed(waiting("ImagePullBackOff", 'Back-off pulling image "trainer:1": ErrImagePull: not found')),
        "ImageNotPulled",
        "Image/trainer:1",
        "container trainer: image trainer:1: ErrImagePull: not found",
    ),
    Cause(
        "an image that does not pull",
        placed(waiting("ErrImagePull", "pull access denied")),
        "ImageNotPulled",
        "Image/trainer:1",
        "denied",
    ),
    Cause(
        "a name that is none", placed(waiting("InvalidImageName", "couldn't parse")), "ImageNotPulled", "Image/trainer:1", "parse"
    ),
    Cause("an image that may not be pulled", placed(waiting("ErrImageNeverPull")), "ImageNotPulled", "Image/trainer:1"),
    Cause(
        "an init container's image",
        placed(waiting("PodInitializing"), init=(waiting("ErrImagePull", "gone", name="fetch"),)),
        "ImageNotPulled",
        "Image/trainer:1",
        "container fetch",
    ),
    Cause(
        "a missing Secret",
        placed(waiting("CreateContainerConfigError", 'secret "registry" not found')),
        "SecretMissing",
        "Secret/registry",
    ),
    Cause(
        "a missing ConfigMap",
        placed(waiting("CreateContainerConfigError", 'configmap "paths" not found')),
        "ConfigMapMissing",
        "ConfigMap/paths",
    ),
    Cause(
        "a Secret without the key",
        placed(waiting("CreateContainerConfigError", "couldn't find key token in Secret research/hub")),
        "SecretKeyMissing",
        "Secret/hub",
    ),
    Cause(
        "an image that would run as root",
        placed(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")),
        "ImageRunsAsRoot",
        "",
        "will run as root",
    ),
    Cause(
        "a container that cannot be made",
        placed(waiting("CreateContainerError", "context deadline exceeded")),
        "ContainerConfigInvalid",
        "",
        "deadline",
    ),
    Cause(
        "a volume from a missing Secret, which only an Event tells",
        CREATING,
        "SecretMissing",
        "Secret/data",
        events=(WarningEvent(reason="FailedMount", message='MountVolume.SetUp failed for volume "d" : secret "data" not found'),),
    ),
    Cause(
        "a volume that does not attach, perhaps yet",
        CREATING,
        "VolumeNotMounted",
        "",
        "Multi-Attach",
        passing=True,
        events=(WarningEvent(reason="FailedAttachVolume", message="Multi-Attach error for volume"),),
    ),
    Cause(
        "a sidecar that keeps failing before the trial",
        placed(waiting("PodInitializing"), init=(waiting("CrashLoopBackOff", "back-off 10s", name="proxy"),)),
        "SidecarFails",
        "Container/proxy",
        "sidecar proxy",
    ),
    Cause(
        "a sidecar that has failed to start again",
        placed(waiting("PodInitializing"), init=(terminated(128, "not found in $PATH", name="proxy") | {"restartCount": 1},)),
        "SidecarFails",
        "Container/proxy",
        "exit code 128: not found in $PATH",
    ),
    Cause(
        "a missing volume claim",
        unscheduled('0/1 nodes are available: persistentvolumeclaim "checkpoints" not found. preemption: 0/1'),
        "VolumeClaimMissing",
        "PersistentVolumeClaim/checkpoints",
    ),
    Cause(
        "a volume claim without a volume",
        unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        "VolumeClaimUnbound",
        "",
    ),
    Cause(
        "no node with room, in the scheduler's words, which may pass",
        unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu."),
        "Unschedulable",
        "",
        "2 Insufficient nvidia.com/gpu",
        passing=True,
    ),
    Cause(
        "a quota that refuses the Pod, which only an Event of the Job tells",
        None,
        "QuotaExceeded",
        "ResourceQuota/gpus",
        "limited: requests.nvidia.com/gpu=4",
        passing=True,
        events=(
            WarningEvent(
                reason="FailedCreate",
                message='Error creating: pods "d-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1,'
                " used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4",
            ),
        ),
    ),
    Cause(
        "a refusal of the Pod in words that nobody here knows may pass",
        None,
        "Refused",
        "",
        "etcdserver",
        passing=True,
        events=(WarningEvent(reason="FailedCreate", message="Error creating: etcdserver: request timed out"),),
    ),
)


@pytest.mark.parametrize("row", CAUSES, ids=lambda row: row.sentence)
def test_a_study_must_be_mended(row: Cause) -> None:
    cause = see(job(), row.pod, events=row.events)
    assert isinstance(cause, StudyCause)
    assert (cause.reason, cause.object, cause.passing) == (row.reason, row.object, row.passing)
    assert row.says in cause.message


GOING: Final = {
    "a Job without a Pod yet": (job(), None),
    "a Job that Kueue holds back": (job(suspend=True), None),
    "a Job that Kueue took back, its Pod gone": (job(suspend=True), None),
    "a Pod on its way": (job(), pod("Pending")),
    "a Pod whose image is being pulled": (job(), CREATING),
    "a Pod behind a scheduling gate": (
        job(),
        pod("Pending", conditions=(condition("PodScheduled", "SchedulingGated", "gated", status="False"),)),
    ),
    "a running Pod": (job(), pod("Running", running())),
    "a Pod of which the node says nothing at the moment": (job(), pod("Unknown", running())),
    "a Pod in its grace period": (job(), pod("Running", running(), deleted=(1000, 30))),
    "a Pod marked for eviction, still running": (
        job(),
        pod("Running", running(), conditions=disrupted("EvictionByEvictionAPI"), deleted=(1000, 30)),
    ),
    "a failed Job whose Pod is still ending": (
        job(condition("FailureTarget", "DeadlineExceeded")),
        pod("Running", running(), deleted=(1000, 30)),
    ),
    "a deleted Job whose Pod is still ending": (None, pod("Running", running(), deleted=(1000, 30))),
    "a trial that left another container running just now": (
        job(),
        pod("Running", terminated(0, RESULT, at=990), running("metrics")),
    ),
    "an init container that has done its part": (job(), placed(waiting("PodInitializing"), init=(terminated(0, name="fetch"),))),
    "an init container that failed, its Pod about to": (
        job(),
        placed(waiting("PodInitializing"), init=(terminated(1, name="fetch"),)),
    ),
    "a sidecar that failed beside a trial that runs": (job(), pod("Running", running(), terminated(1, name="metrics"))),
    "a waiting image of a Pod that is being deleted": (job(), pod("Pending", waiting("ErrImagePull"), deleted=(1000, 30))),
}


@pytest.mark.parametrize("pair", GOING.values(), ids=GOING.keys())
def test_nothing_has_ended_with(pair: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> None:
    assert see(*pair) is None


def test_a_pod_stuck_in_deletion_is_given_up_when_its_kubelet_does_not_answer() -> None:
    stuck = pod("Running", running(), conditions=disrupted("DeletionByTaintManager"), deleted=(80, 30))
    assert see(job(), stuck, now=NOON + 80 + LOST_AFTER_SECONDS) is None
    ended = see(job(), stuck, now=NOON + 81 + LOST_AFTER_SECONDS)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.reason) == (Outcome.DISRUPTED, "NodeLost")


def test_a_result_on_a_node_that_is_lost_afterwards_counts() -> None:
    ended = see(job(), pod("Running", terminated(0, RESULT), running("metrics"), deleted=(80, 30)))
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.metrics) == (Outcome.SUCCEEDED, {"val_accuracy": 0.97})


@pytest.mark.parametrize(
    ("seen", "second"),
    [
        (pod("Succeeded", terminated(0, RESULT, at=60), terminated(0, name="metrics", at=65)), 65),
        (pod("Failed", UNKNOWN, conditions=disrupted("DeletionByPodGC", at=50)), 50),
        (pod("Failed", UNKNOWN), 1000),
        (None, 70),
    ],
    ids=[
        "the last container's",
        "without one, the disruption's",
        "without either, now",
        "the Job's, when the Pod is gone",
    ],
)
def test_the_time_of_an_end_is(seen: dict[str, Any] | None, second: float) -> None:
    ended = see(failed_job("Job has reached the specified backoff limit"), seen)
    assert isinstance(ended, Ended)
    assert ended.at == NOON + second


PROXY: Final = running("proxy")


def test_a_trial_is_over_only_a_while_after_it_left_another_container_running() -> None:
    seen = pod("Running", terminated(0, RESULT, at=60), PROXY)
    assert see(job(), seen, now=NOON + 60 + LINGER_SECONDS) is None
    ended = see(job(), seen, now=NOON + 61 + LINGER_SECONDS)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.at, ended.metrics) == (Outcome.SUCCEEDED, NOON + 60, {"val_accuracy": 0.97})


@pytest.mark.parametrize(
    ("seen", "outcome", "reason"),
    [
        (pod("Running", terminated(1), PROXY), Outcome.FAILED, "ExitCode"),
        (pod("Running", terminated(137, reason="OOMKilled"), PROXY), Outcome.INFEASIBLE, "OOMKilled"),
        (pod("Running", terminated(1), PROXY, deleted=(500, 30)), Outcome.FAILED, "ExitCode"),
        (pod("Running", terminated(143), PROXY, deleted=(60, 30)), Outcome.DISRUPTED, "Deleted"),
        (pod("Running", UNKNOWN, PROXY), Outcome.DISRUPTED, "ContainerStatusUnknown"),
    ],
    ids=[
        "an exit code",
        "what killed it",
        "an exit code, also where the Pod was deleted after it",
        "a disruption before it",
        "nobody having seen it",
    ],
)
def test_a_trial_that_left_another_container_running_ended_by(seen: dict[str, Any], outcome: Outcome, reason: str) -> None:
    ended = see(job(), seen)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.reason) == (outcome, reason)


def test_a_pod_lingers_from_the_end_of_its_trial_to_its_own() -> None:
    seen = [
        pod("Running", running(), PROXY),
        pod("Running", terminated(0, at=60), PROXY),
        pod("Succeeded", terminated(0, at=60), terminated(0, name="proxy")),
    ]
    assert [view.lingers_since for view in map(pod_view, seen) if view] == [None, NOON + 60, None]
