"""How an attempt on a cluster ended, or what its study must mend: one table, read from the top. Pure.

The words of Kubernetes are those of 1.34: pkg/kubelet (eviction, lifecycle, status), pkg/controller (job, podgc,
tainteviction), pkg/scheduler.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tuning_operator.api.contract import EXIT_CONFIGURATION, EXIT_INTERRUPTED, ResultError, parse_result
from tuning_operator.engine.facts import RESULT_INVALID, Ended, Outcome, StudyCause
from tuning_operator.runtime.ends import completed, last_lines
from tuning_operator.runtime.kubernetes import causes
from tuning_operator.runtime.kubernetes.causes import WarningEvent
from tuning_operator.runtime.kubernetes.views import Condition, Exit, JobView, PodView

LOST_AFTER_SECONDS: Final = 120.0
"""After the end of its grace period a Pod that still runs is given up: its kubelet does not answer."""

LINGER_SECONDS: Final = 60.0
"""For so long another container may keep a Pod whose trial has left. A sidecar that a webhook added may never end."""

_LONGEST_CHARACTER: Final = 4  # bytes of UTF-8: a cut may lose that much more
_SIGNALLED: Final = 128  # a container ended by signal n has exit code 128 + n
_KILLED: Final = (_SIGNALLED + signal.SIGKILL, _SIGNALLED + signal.SIGTERM)

_DISRUPTIONS: Final = {
    "EvictionByEvictionAPI": ("Evicted", "evicted, perhaps because its node is drained"),
    "PreemptionByScheduler": ("Preempted", "preempted by a Pod of higher priority"),
    "DeletionByTaintManager": ("NodeTainted", "its node has a taint that it does not tolerate"),
    "DeletionByPodGC": ("NodeLost", "its node is gone"),
}
"""`reason` of the DisruptionTarget condition, but for the kubelet's, which stands for several things."""

_REQUEUED: Final = ("Requeued", "its Job was suspended, as Kueue does to make room")
_NO_SUCH_COMMAND: Final = ("executable file not found", "no such file or directory", "permission denied", "exec format error")
_UNFIT_REJECTIONS: Final = frozenset(("SysctlForbidden", "PodOSNotSupported", "PodOSSelectorNodeLabelDoesNotMatch"))

_EXIT_RULE: Final = re.compile(r"Container (?P<name>\S+) for pod \S+ failed with exit code (?P<code>\d+) matching FailJob")
_DISRUPTION_RULE: Final = re.compile(r"Pod \S+ has condition DisruptionTarget matching FailJob")


def outcome(
    job: JobView | None,
    pod: PodView | None,
    *,
    now: float,
    stop_requested: bool = False,
    warnings: Iterable[WarningEvent] = (),
) -> Ended | StudyCause | None:
    """How an attempt ended, or what keeps it from running; None while it waits or runs as it should.

    Args:
        job: its Job; None when that was deleted and only the Pod is left.
        pod: its newest Pod; None before there is one, and when it was deleted.
        now: seconds since the epoch, for ends of which nobody recorded the time.
        stop_requested: we asked it to stop.
        warnings: Events of type Warning about the two.
    """
    if pod is None:
        return _remembered(job, now, stop_requested=stop_requested, warnings=warnings) if job else None
    case = _Case(pod, job, now, stop_requested)
    if pod.terminal or (pod.lingers_since is not None and now > pod.lingers_since + LINGER_SECONDS):
        return next(ended for rule in _ENDS if (ended := rule(case)))
    if lost(pod, now):
        return _with_result(case) or case.disrupted("NodeLost", "its node has not answered since the Pod was deleted")
    return None if pod.deletion else causes.waiting(pod, warnings)


def lost(pod: PodView, now: float) -> bool:
    """Whether the kubelet of a Pod in deletion is given up."""
    return pod.deletion is not None and now > pod.deletion.deadline + LOST_AFTER_SECONDS


def ends_at(pod: PodView) -> float | None:
    """When a Pod that has not ended counts as ended though nothing happens to it; None when that takes an event."""
    lingers_until = pod.lingers_since + LINGER_SECONDS if pod.lingers_since is not None else None
    lost_at = pod.deletion.deadline + LOST_AFTER_SECONDS if pod.deletion else None
    return min((at for at in (lingers_until, lost_at) if at is not None), default=None)


@dataclass(frozen=True)
class _Case:
    """A Pod and what belongs to it."""

    pod: PodView
    job: JobView | None
    now: float
    stop_requested: bool

    @property
    def exit(self) -> Exit | None:
        return self.pod.trainer.exit if self.pod.trainer else None

    @property
    def disturbed(self) -> bool:
        """Whether somebody made an end of it before it ended by itself.

        Whole seconds are all that Kubernetes keeps: an end in the same second counts as theirs.
        """
        began = [self.pod.disruption.since] if self.pod.disruption else []
        began += [self.pod.deletion.requested_at] if self.pod.deletion else []
        ended = self.exit.at if self.exit else None
        return any(ended is None or since is None or since <= ended for since in began)

    def ended(self, verdict: Outcome, reason: str, message: str) -> Ended:
        return Ended(outcome=verdict, at=self.at, reason=reason, message=message)

    def disrupted(self, reason: str, message: str) -> Ended:
        return self.ended(Outcome.DISRUPTED, reason, message)

    @property
    def at(self) -> float:
        known = (self.pod.ended_at, self.pod.disruption.since if self.pod.disruption else None)
        return next((time for time in known if time is not None), self.now)


# Ends of a Pod that is terminal, or kept from it by what is not the trial. Each rule answers or passes; the first answer
# stands.


def _with_result(case: _Case) -> Ended | None:
    if case.exit is None or case.exit.code != 0:
        return None
    text = case.exit.message
    if not text.strip():
        # Told to go, it may leave with 0 and nothing; what it posted to the gateway counts all the same.
        return None if case.disturbed else Ended(outcome=Outcome.SUCCEEDED, at=case.at, reason="Completed")
    try:
        result = parse_result(text)
    except ResultError as error:
        return None if case.disturbed else case.ended(Outcome.FAILED, RESULT_INVALID, _unreadable(case.pod, text, error))
    return completed(result, case.at)


def _unreadable(pod: PodView, text: str, error: ResultError) -> str:
    if len(text.encode(errors="replace")) > pod.message_limit - _LONGEST_CHARACTER:
        return f"the result was cut at {pod.message_limit} bytes, all that Kubernetes keeps of it here; write fewer metrics"
    return str(error)


def _stopped(case: _Case) -> Ended | None:
    return case.disrupted("Interrupted", "asked to stop") if case.stop_requested else None


def _past_deadline(case: _Case) -> Ended | None:
    by_job = case.job and case.job.failed and case.job.failed.reason == "DeadlineExceeded"
    if case.pod.reason != "DeadlineExceeded" and not by_job:
        return None
    return case.ended(Outcome.INFEASIBLE, "DeadlineExceeded", case.pod.message or "activeDeadlineSeconds is over")


def _rejected(case: _Case) -> Ended | None:
    """The kubelet did not take it, though the scheduler had: resources went in between, a device is ill."""
    pod = case.pod
    nothing_ran = pod.trainer is None and not pod.init and not pod.others and bool(pod.reason) and not case.disturbed
    if not (pod.message.startswith("Pod was rejected") or nothing_ran):
        return None
    message = f"{pod.reason}: {pod.message}" if pod.message else pod.reason
    if pod.reason in _UNFIT_REJECTIONS:
        return case.ended(Outcome.CONFIGURATION, "NodeRejected", message)
    return case.disrupted("NodePressure" if pod.reason == "Evicted" else "NodeRejected", message)


def _over_its_storage(case: _Case) -> Ended | None:
    # The kubelet sets DisruptionTarget where the node ran short, and not where the Pod broke a limit of its own.
    if case.pod.reason != "Evicted" or case.pod.disruption:
        return None
    return case.ended(Outcome.INFEASIBLE, "StorageLimit", case.pod.message.strip() or "it used more disk than its limit")


def _disrupted(case: _Case) -> Ended | None:
    condition = case.pod.disruption
    if condition is None or not case.disturbed:
        return None
    reason, meaning = _kubelets(case.pod) if condition.reason == "TerminationByKubelet" else _cluster(condition)
    return case.disrupted(reason, case.pod.message.strip() or condition.message.strip() or meaning)


def _kubelets(pod: PodView) -> tuple[str, str]:
    match pod.reason:
        case "Evicted":
            return "NodePressure", "its node ran short of memory, disk or processes"
        case "Preempting":
            return "Preempted", "preempted by a critical Pod"
        case _:
            return "NodeShutdown", "its node was shut down"


def _cluster(condition: Condition) -> tuple[str, str]:
    return _DISRUPTIONS.get(condition.reason, ("Disrupted", condition.reason))


def _deleted(case: _Case) -> Ended | None:
    if case.pod.deletion is None or not case.disturbed:
        return None
    if case.job and case.job.suspended:
        return case.disrupted(*_REQUEUED)
    return case.disrupted("Deleted", "its Pod was deleted while it ran")


def _out_of_sight(case: _Case) -> Ended | None:
    if case.exit is None or case.exit.reason != "ContainerStatusUnknown":
        return None
    return case.disrupted("ContainerStatusUnknown", case.exit.message or "the kubelet lost sight of the container")


def _out_of_memory(case: _Case) -> Ended | None:
    # Also where a child of the trial was killed, and the trial then failed in its own way.
    if case.exit is None or case.exit.reason != "OOMKilled":
        return None
    return case.ended(Outcome.INFEASIBLE, "OOMKilled", _tail("killed for using more memory than its limit", case.exit.message))


def _not_started(case: _Case) -> Ended | None:
    """The container runtime could not run it: a command that does not exist, or trouble on the node."""
    if case.exit is None or case.exit.reason not in ("StartError", "ContainerCannotRun"):
        return None
    message = last_lines(case.exit.message)
    if any(words in message for words in _NO_SUCH_COMMAND):
        return case.ended(Outcome.CONFIGURATION, "CommandNotStarted", f"{message}; mend command in spec.trial.template")
    return case.disrupted("ContainerNotStarted", message)


def _before_it(case: _Case) -> Ended | None:
    """A container that runs before the trial failed; the trial never began."""
    if case.exit is not None:
        return None
    failed = next((c for c in case.pod.init if c.exit and c.exit.code), None)
    if failed is None or failed.exit is None:
        return None
    if failed.exit.reason == "ContainerStatusUnknown":
        return case.disrupted("ContainerStatusUnknown", f"init container {failed.name}: {failed.exit.message}")
    verdict, reason, message = _by_exit(failed.exit)
    reason = "InitContainerFailed" if verdict is Outcome.FAILED else reason
    return case.ended(verdict, reason, f"init container {failed.name}: {message}")


def _by_itself(case: _Case) -> Ended | None:
    return case.ended(*_by_exit(case.exit)) if case.exit and case.exit.code else None


def _without_trace(case: _Case) -> Ended:
    return case.disrupted("Lost", _tail("its Pod ended and no container says how", case.pod.message))


_ENDS: Final[tuple[Callable[[_Case], Ended | None], ...]] = (
    # A result is a result, whatever happened around it.
    _with_result,
    # We asked for the end: how it came about tells nothing.
    _stopped,
    # Its own limits.
    _past_deadline,
    # It never ran.
    _rejected,
    _over_its_storage,
    # Somebody made an end of it. Before memory and exit codes: those are how it died then, not why.
    _disrupted,
    _deleted,
    _out_of_sight,
    # It ended by itself.
    _out_of_memory,
    _not_started,
    _before_it,
    _by_itself,
    _without_trace,
)


def _by_exit(exit_: Exit) -> tuple[Outcome, str, str]:
    """What an exit code other than 0 means."""
    tail = last_lines(exit_.message)
    match exit_.code:
        case code if code == EXIT_INTERRUPTED:
            return Outcome.DISRUPTED, "Interrupted", tail
        case code if code == EXIT_CONFIGURATION:
            return Outcome.CONFIGURATION, "ConfigurationError", tail
        case code if code - _SIGNALLED in set(signal.Signals):
            return Outcome.FAILED, "Signal", _tail(f"ended by {signal.Signals(code - _SIGNALLED).name}", tail)
        case code:
            return Outcome.FAILED, "ExitCode", _tail(f"exit code {code}", tail)


def _tail(what: str, text: str) -> str:
    said = last_lines(text)
    return f"{what}: {said}" if said else what


def _remembered(job: JobView, now: float, *, stop_requested: bool, warnings: Iterable[WarningEvent]) -> Ended | StudyCause | None:
    """What the Job alone says: before its Pod, or after that was deleted."""
    if job.complete:
        at = job.complete.since or now
        return Ended(
            outcome=Outcome.DISRUPTED, at=at, reason="ResultLost", message="it ended well; its Pod, and the result, are deleted"
        )
    if job.failed:
        verdict, reason, message = _by_condition(job.failed)
        if stop_requested:
            verdict, reason, message = Outcome.DISRUPTED, "Interrupted", "asked to stop"
        elif job.suspended:
            # Suspending deletes the Pod, and with our rules its failing exit code fails the Job.
            verdict, reason, message = Outcome.DISRUPTED, *_REQUEUED
        return Ended(outcome=verdict, at=job.failed.since or now, reason=reason, message=message)
    return None if job.suspended or job.deletion else causes.without_pod(warnings)


def _by_condition(failed: Condition) -> tuple[Outcome, str, str]:
    if failed.reason == "DeadlineExceeded":
        return Outcome.INFEASIBLE, "DeadlineExceeded", failed.message
    if _DISRUPTION_RULE.search(failed.message):
        return Outcome.DISRUPTED, "Disrupted", "evicted, preempted or without a node; its Pod is deleted"
    found = _EXIT_RULE.search(failed.message)
    if found is None:
        # Every exit code of a container has a rule: it never ran, or nobody saw how it ended.
        return Outcome.DISRUPTED, "Lost", f"its Pod is deleted and its Job knows no exit code: {failed.message}"
    code, container = int(found["code"]), found["name"]
    if code in _KILLED:
        return Outcome.DISRUPTED, "Deleted", f"container {container} ended with {code} and its Pod is deleted"
    verdict, reason, message = _by_exit(Exit(code=code, reason="", message="", at=None))
    return verdict, reason, f"container {container}: {message or f'exit code {code}'}"
