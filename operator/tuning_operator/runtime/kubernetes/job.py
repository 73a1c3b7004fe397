"""The Job of one attempt: the user's Pod template, with what the contract promises added. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tuning_operator.api.constants import API_VERSION, KIND
from tuning_operator.api.contract import EXIT_CONFIGURATION, EXIT_INTERRUPTED, Places
from tuning_operator.api.study import TrialTemplate, trainer_container
from tuning_operator.api.templates import merged
from tuning_operator.runtime.kubernetes.gpus import NVIDIA_GPU, gpus_of
from tuning_operator.runtime.kubernetes.names import (
    ATTEMPT_LABEL,
    KUEUE_PRIORITY_LABEL,
    KUEUE_QUEUE_LABEL,
    LABEL_LIMIT,
    LAUNCH_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    RESULT_FILE,
    ROLE_LABEL,
    SHARED_MEMORY_PATH,
    SHARED_MEMORY_VOLUME,
    STUDY_LABEL,
    STUDY_UID_LABEL,
    TOKEN_AUDIENCE,
    TOKEN_DIRECTORY,
    TOKEN_FILE,
    TOKEN_SECONDS,
    TOKEN_VOLUME,
    TRAINER_ANNOTATION,
    TRIAL_LABEL,
)
from tuning_operator.runtime.kubernetes.restricted import restrict
from tuning_operator.runtime.protocol import AttemptKey, Launch

_HASH_CHARACTERS: Final = 8
_DIGEST_CHARACTERS: Final = 16
_NOT_OF_A_DNS_LABEL: Final = re.compile(r"[^a-z0-9-]")

# The Job remembers why it failed, also when its Pod is gone. In this order: an evicted trial that leaves with 75 was
# evicted. Every failing exit code has a rule, since a Job without one says BackoffLimitExceeded and no more.
_FAILURE_RULES: Final = (
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [EXIT_INTERRUPTED]}},
    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [EXIT_CONFIGURATION]}},
    {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
)


@dataclass(frozen=True, kw_only=True)
class StudyRef:
    """The study object that owns the Jobs."""

    namespace: str
    name: str
    uid: str


def job_name(study: StudyRef, key: AttemptKey) -> str:
    """Name of an attempt's Job: ``<study>-<hash of its uid>-<trial>-<attempt>``, a DNS label of at most 63 characters.

    It is the fence: two operators that start one attempt make one Job. It must never change between releases. A study
    created again under its old name has another uid, so that the names of its Jobs differ too.
    """
    digest = hashlib.sha256(study.uid.encode()).hexdigest()[:_HASH_CHARACTERS]
    suffix = f"-{digest}-{key.trial}-{key.attempt}"
    prefix = _NOT_OF_A_DNS_LABEL.sub("-", study.name.lower())[: LABEL_LIMIT - len(suffix)]
    return prefix.strip("-") + suffix if prefix.strip("-") else suffix[1:]


def launch_digest(launch: Launch) -> str:
    """What a trial is told, its parameters and its seed among that, in 16 characters."""
    return hashlib.sha256(json.dumps(dict(launch.environment), sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARACTERS]


def is_ours(existing: Mapping[str, Any], study: StudyRef, key: AttemptKey) -> bool:
    """Whether a Job that stands under our name already was made for this attempt of this study."""
    metadata = existing.get("metadata") or {}
    owners = metadata.get("ownerReferences") or ()
    labels = metadata.get("labels") or {}
    wanted = _identity(study, key)
    return any(owner.get("controller") and owner.get("uid") == study.uid for owner in owners) and all(
        labels.get(label) == value for label, value in wanted.items()
    )


def build(study: StudyRef, trial: TrialTemplate, launch: Launch, *, endpoint: str | None) -> dict[str, Any]:
    """The Job of an attempt.

    The template is copied, and only added to: where it states something itself, that stands. Its restartPolicy alone
    is replaced, by Never, since an attempt is one Pod.

    Args:
        study: its owner.
        trial: container, GPUs and Pod template.
        launch: which attempt, and what it is told.
        endpoint: URL of the gateway; None when there is none to talk to, and then no token either.
    """
    template = _plain(merged(trial.template, launch.template))
    metadata = template.setdefault("metadata", {})
    trainer = trainer_container(template)["name"]
    labels = _labels(study, launch)
    user_labels = metadata.get("labels") or {}
    metadata["labels"] = {**user_labels, **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), TRAINER_ANNOTATION: trainer}
    _complete(template["spec"], trainer, launch.environment, gpus=0 if gpus_of(template) else trial.gpus, endpoint=endpoint)
    queue = {label: user_labels[label] for label in (KUEUE_QUEUE_LABEL, KUEUE_PRIORITY_LABEL) if label in user_labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(study, launch.key),
            "namespace": study.namespace,
            "labels": {**queue, **labels},
            "annotations": {LAUNCH_ANNOTATION: launch_digest(launch)},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": study.name,
                    "uid": study.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _plain(_FAILURE_RULES)},
            "template": template,
        },
    }


def _identity(study: StudyRef, key: AttemptKey) -> dict[str, str]:
    return {STUDY_UID_LABEL: study.uid, TRIAL_LABEL: str(key.trial), ATTEMPT_LABEL: str(key.attempt)}


def _labels(study: StudyRef, launch: Launch) -> dict[str, str]:
    return {
        MANAGED_BY_LABEL: MANAGER,
        STUDY_LABEL: study.name[:LABEL_LIMIT].rstrip("-."),
        ROLE_LABEL: launch.environment["TUNING_ROLE"],
        **_identity(study, launch.key),
    }


def _complete(spec: dict[str, Any], trainer: str, environment: Mapping[str, str], *, gpus: int, endpoint: str | None) -> None:
    spec["restartPolicy"] = "Never"
    spec.setdefault("automountServiceAccountToken", False)
    if endpoint is not None:
        _add(spec, "volumes", _token_volume())
    for container in _containers(spec):
        told = {**environment, **_places(container, endpoint, is_trainer=container["name"] == trainer)}
        container["env"] = [*_variables(told), *(container.get("env") or ())]
        container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
        if endpoint is not None:
            _add(container, "volumeMounts", {"name": TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True})
        if container["name"] == trainer:
            _equip(container, spec, gpus)
    restrict(spec)


def _equip(trainer: dict[str, Any], spec: dict[str, Any], gpus: int) -> None:
    """GPUs, and the shared memory through which data loaders hand over batches: a runtime's default is 64 MiB."""
    if gpus:
        resources = trainer["resources"] = trainer.get("resources") or {}
        resources["limits"] = {**(resources.get("limits") or {}), NVIDIA_GPU: str(gpus)}
    mounted = {str(mount.get("mountPath", "")).rstrip("/") for mount in trainer.get("volumeMounts") or ()}
    if SHARED_MEMORY_PATH not in mounted:
        _add(spec, "volumes", {"name": SHARED_MEMORY_VOLUME, "emptyDir": {"medium": "Memory"}})
        _add(trainer, "volumeMounts", {"name": SHARED_MEMORY_VOLUME, "mountPath": SHARED_MEMORY_PATH})


def _places(container: Mapping[str, Any], endpoint: str | None, *, is_trainer: bool) -> dict[str, str]:
    """Only the trial's own termination message is a result, so only the trial is told of one."""
    result_file = container.get("terminationMessagePath") or RESULT_FILE
    token_file = None if endpoint is None else TOKEN_FILE
    places = Places(result_file=result_file, endpoint=endpoint, token_file=token_file).environment()
    return places if is_trainer else {name: place for name, place in places.items() if name != "TUNING_RESULT_FILE"}


def _variables(environment: Mapping[str, str]) -> Iterable[dict[str, str]]:
    """Kubernetes would expand ``$(NAME)`` within a value, and a categorical choice may hold one: ``$$`` is a dollar."""
    return ({"name": name, "value": value.replace("$", "$$")} for name, value in environment.items())


def _token_volume() -> dict[str, Any]:
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    return {"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}


def _containers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*(spec.get("initContainers") or ()), *spec["containers"]]


def _add(parent: dict[str, Any], field: str, item: dict[str, Any]) -> None:
    parent[field] = [*(parent.get(field) or ()), item]


def _plain(value: Any) -> Any:
    """A deep copy in the dicts and lists of JSON."""
    match value:
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
