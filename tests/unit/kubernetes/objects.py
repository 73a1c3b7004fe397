"""Jobs and Pods as the API server gives them, one kilobyte of what matters each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind
from tuning_operator.runtime.kubernetes.names import ATTEMPT_LABEL, STUDY_UID_LABEL, TRAINER_ANNOTATION, TRIAL_LABEL

NAMESPACE: Final = "research"
STUDY_UID: Final = "7d1c9f60-study"
NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


def time(second: float) -> str:
    """Noon and so many seconds, as Kubernetes writes it."""
    return datetime.fromtimestamp(NOON + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, reason: str, message: str = "", *, status: str = "True", at: float = 50) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time(at)}


def terminated(code: int, message: str = "", *, reason: str = "", at: float | None = 60, name: str = "trainer") -> dict[str, Any]:
    state = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), "message": message}
    finished = time(at) if at is not None else None
    return {"name": name, "image": "trainer:1", "state": {"terminated": state | {"finishedAt": finished}}}


def running(name: str = "trainer") -> dict[str, Any]:
    return {"name": name, "image": "trainer:1", "state": {"running": {"startedAt": time(10)}}}


def waiting(reason: str, message: str = "", *, name: str = "trainer") -> dict[str, Any]:
    return {"name": name, "image": "trainer:1", "state": {"waiting": {"reason": reason, "message": message}}}


def metadata(uid: str, *, trial: int = 3, attempt: int = 0, version: int = 1, created: float = 0) -> dict[str, Any]:
    return {
        "name": f"digits-{uid}",
        "namespace": NAMESPACE,
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": time(created),
        "labels": {STUDY_UID_LABEL: STUDY_UID, TRIAL_LABEL: str(trial), ATTEMPT_LABEL: str(attempt)},
    }


def job(
    *conditions: dict[str, Any],
    uid: str = "job-1",
    suspend: bool = False,
    trial: int = 3,
    attempt: int = 0,
    version: int = 1,
    study_uid: str = STUDY_UID,
) -> dict[str, Any]:
    owner = {"kind": "TuningStudy", "uid": study_uid, "controller": True}
    return {
        "metadata": metadata(uid, trial=trial, attempt=attempt, version=version) | {"ownerReferences": [owner]},
        "spec": {"suspend": suspend},
        "status": {"conditions": list(conditions)},
    }


def failed_job(message: str, *, reason: str = "PodFailurePolicy", suspend: bool = False) -> dict[str, Any]:
    return job(condition("Failed", reason, message, at=70), suspend=suspend)


def pod(  # noqa: PLR0913 - a Pod has that many sides
    phase: str,
    *containers: dict[str, Any],
    init: tuple[dict[str, Any], ...] = (),
    conditions: tuple[dict[str, Any], ...] = (),
    reason: str = "",
    message: str = "",
    deleted: tuple[float, int] | None = None,
    uid: str = "pod-1",
    job_uid: str = "job-1",
    trial: int = 3,
    attempt: int = 0,
    version: int = 1,
    trainer: str = "trainer",
    created: float = 0,
) -> dict[str, Any]:
    """A Pod.

    Args:
        deleted: second at which its grace period ends, and the length of that.
    """
    owner = {"kind": "Job", "uid": job_uid, "controller": True}
    meta = metadata(uid, trial=trial, attempt=attempt, version=version, created=created)
    meta |= {"ownerReferences": [owner], "annotations": {TRAINER_ANNOTATION: trainer}}
    if deleted:
        meta |= {"deletionTimestamp": time(deleted[0]), "deletionGracePeriodSeconds": deleted[1]}
    status: dict[str, Any] = {"phase": phase, "conditions": list(conditions), "reason": reason, "message": message}
    if containers:
        status["containerStatuses"] = list(containers)
    if init:
        status["initContainerStatuses"] = list(init)
    names = [c["name"] for c in containers] or ["trainer"]
    spec = {"containers": [{"name": n} for n in names], "initContainers": [{"name": c["name"]} for c in init]}
    return {"metadata": meta, "spec": spec, "status": status}


def filled(*, jobs: tuple[dict[str, Any], ...] = (), pods: tuple[dict[str, Any], ...] = ()) -> ClusterCache:
    """A cache that has been told of these."""
    cache = ClusterCache()
    for kind, items in ((Kind.JOB, jobs), (Kind.POD, pods)):
        for item in items:
            cache.apply(kind, item)
    return cache
