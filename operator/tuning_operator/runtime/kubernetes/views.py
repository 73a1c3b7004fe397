"""What is kept of a Job and of a Pod: the fields that decide, frozen. A few hundred bytes of several kilobytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tuning_operator.api.constants import TRAINER_CONTAINER
from tuning_operator.runtime.kubernetes.names import (
    ATTEMPT_LABEL,
    LAUNCH_ANNOTATION,
    RELEASED_LABEL,
    STUDY_UID_LABEL,
    TRAINER_ANNOTATION,
    TRIAL_LABEL,
)
from tuning_operator.runtime.protocol import AttemptKey

_MESSAGE_BYTES_OF_ALL: Final = 12 * 1024
_MESSAGE_BYTES_OF_ONE: Final = 4 * 1024


@dataclass(frozen=True, order=True)
class StudyKey:
    """Whose object it is. With the namespace, since anybody may write any label into a namespace of their own."""

    namespace: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which object it is, and which version of it."""

    study: StudyKey
    attempt: AttemptKey
    uid: str
    name: str
    created_at: float
    version: int  # resourceVersion: one counter for all objects of a kind, a larger one is later (KEP-5504)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition whose status is known."""

    status: bool
    reason: str
    message: str
    since: float | None


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """A graceful deletion under way."""

    requested_at: float
    deadline: float  # the grace period ends


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A terminated container."""

    code: int
    reason: str
    message: str
    at: float | None  # None: the kubelet lost sight of it


@dataclass(frozen=True, kw_only=True)
class ContainerView:
    """A container of a Pod, as its status has it."""

    name: str
    image: str
    exit: Exit | None = None
    waiting: str = ""  # reason for which it waits, such as ImagePullBackOff
    waiting_message: str = ""
    restarts: int = 0  # of our containers only sidecars, init containers that run on, ever start again


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A Job of ours."""

    identity: Identity
    suspended: bool
    launch: str  # digest of what its trial is told; empty where nobody says
    released: bool  # it is no attempt any more: its end is in the database, or it was never claimed
    deletion: Deletion | None
    complete: Condition | None
    failed: Condition | None  # its FailureTarget as long as there is no Failed: Pods are ending


@dataclass(frozen=True, kw_only=True)
class PodView:
    """A Pod of a Job of ours."""

    identity: Identity
    job_uid: str
    phase: str
    reason: str
    message: str
    deletion: Deletion | None
    scheduled: Condition | None
    disruption: Condition | None  # its DisruptionTarget, when that is true
    trainer: ContainerView | None  # None: no status of it yet, or never any
    others: tuple[ContainerView, ...]  # containers beside it
    init: tuple[ContainerView, ...]  # init containers, sidecars among them
    message_limit: int  # bytes of a termination message that the kubelet keeps

    @property
    def terminal(self) -> bool:
        """Whether all of its containers have stopped for good: its place is free."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def lingers_since(self) -> float | None:
        """When its trial left, while another container keeps the Pod, and its place, from ending; None while neither is so."""
        if self.terminal or self.trainer is None or self.trainer.exit is None:
            return None
        # Where the kubelet lost sight of the trial it is known to have gone, and not when: long enough ago.
        return self.trainer.exit.at if self.trainer.exit.at is not None else self.identity.created_at

    @property
    def placed_at(self) -> float | None:
        """When it got its place on a node, GPUs included; None while it has none."""
        return self.scheduled.since if self.scheduled and self.scheduled.status else None

    @property
    def ended_at(self) -> float | None:
        """When the last of its containers stopped, as far as that is known."""
        containers = [self.trainer, *self.others, *self.init]
        return max((c.exit.at for c in containers if c and c.exit and c.exit.at is not None), default=None)


def job_view(raw: Mapping[str, Any]) -> JobView | None:
    """A Job as the API server gives it; None when it is not one of ours."""
    metadata = raw.get("metadata") or {}
    identity = _identity(metadata)
    if identity is None or _controller(metadata, "TuningStudy") != identity.study.uid:
        return None
    conditions = _conditions(raw)
    return JobView(
        identity=identity,
        suspended=bool((raw.get("spec") or {}).get("suspend")),
        launch=(metadata.get("annotations") or {}).get(LAUNCH_ANNOTATION, ""),
        released=RELEASED_LABEL in metadata["labels"],
        deletion=_deletion(metadata),
        complete=_true(conditions.get("Complete")),
        failed=_true(conditions.get("Failed")) or _true(conditions.get("FailureTarget")),
    )


def pod_view(raw: Mapping[str, Any]) -> PodView | None:
    """A Pod as the API server gives it; None when it is not one of ours."""
    metadata, spec, status = (raw.get(part) or {} for part in ("metadata", "spec", "status"))
    identity = _identity(metadata)
    job_uid = _controller(metadata, "Job")
    if identity is None or job_uid is None:
        return None
    conditions = _conditions(raw)
    containers = [_container(entry) for entry in status.get("containerStatuses") or ()]
    trainer = (metadata.get("annotations") or {}).get(TRAINER_ANNOTATION, TRAINER_CONTAINER)
    count = len(spec.get("containers") or ()) + len(spec.get("initContainers") or ())
    return PodView(
        identity=identity,
        job_uid=job_uid,
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        deletion=_deletion(metadata),
        scheduled=conditions.get("PodScheduled"),
        disruption=_true(conditions.get("DisruptionTarget")),
        trainer=next((c for c in containers if c.name == trainer), None),
        others=tuple(c for c in containers if c.name != trainer),
        init=tuple(_container(entry) for entry in status.get("initContainerStatuses") or ()),
        message_limit=min(_MESSAGE_BYTES_OF_ONE, _MESSAGE_BYTES_OF_ALL // max(1, count)),
    )


def timestamp(text: str | None) -> float | None:
    """Seconds since the epoch of a time as Kubernetes writes it, such as ``2026-11-23T10:00:00Z``."""
    return datetime.fromisoformat(text).timestamp() if text else None


def _identity(metadata: Mapping[str, Any]) -> Identity | None:
    labels = metadata.get("labels") or {}
    trial, attempt = labels.get(TRIAL_LABEL, ""), labels.get(ATTEMPT_LABEL, "")
    # isdecimal alone takes digits of other scripts, which nobody of us wrote.
    if STUDY_UID_LABEL not in labels or not all(n.isascii() and n.isdecimal() for n in (trial, attempt)):
        return None
    return Identity(
        study=StudyKey(metadata["namespace"], labels[STUDY_UID_LABEL]),
        attempt=AttemptKey(int(trial), int(attempt)),
        uid=metadata["uid"],
        name=metadata["name"],
        created_at=timestamp(metadata["creationTimestamp"]) or 0.0,
        version=int(metadata["resourceVersion"]),
    )


def _controller(metadata: Mapping[str, Any], kind: str) -> str | None:
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == kind:
            return str(owner["uid"])
    return None


def _deletion(metadata: Mapping[str, Any]) -> Deletion | None:
    # The server writes the moment at which the grace period will be over.
    deadline = timestamp(metadata.get("deletionTimestamp"))
    if deadline is None:
        return None
    return Deletion(requested_at=deadline - (metadata.get("deletionGracePeriodSeconds") or 0), deadline=deadline)


def _conditions(raw: Mapping[str, Any]) -> dict[str, Condition]:
    return {
        entry["type"]: Condition(
            status=entry["status"] == "True",
            reason=entry.get("reason") or "",
            message=entry.get("message") or "",
            since=timestamp(entry.get("lastTransitionTime")),
        )
        for entry in (raw.get("status") or {}).get("conditions") or ()
        if entry.get("status") in ("True", "False")
    }


def _true(condition: Condition | None) -> Condition | None:
    return condition if condition and condition.status else None


def _container(entry: Mapping[str, Any]) -> ContainerView:
    state = entry.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated")
    return ContainerView(
        name=entry["name"],
        image=entry.get("image", ""),
        waiting=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        restarts=entry.get("restartCount", 0),
        exit=Exit(
            code=terminated["exitCode"],
            reason=terminated.get("reason") or "",
            message=terminated.get("message") or "",
            at=timestamp(terminated.get("finishedAt")),
        )
        if terminated
        else None,
    )
