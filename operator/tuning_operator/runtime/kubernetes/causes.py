"""What keeps every trial of a study from running, in the words of the cluster. Pure.

Such a cause belongs to the study: it is said in a condition with the name of the object to mend, nothing is counted,
nothing further is started, and it is gone as soon as the cluster no longer says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from tuning_operator.engine.facts import StudyCause
from tuning_operator.runtime.kubernetes.views import ContainerView, PodView

_HTTP_BAD_REQUEST: Final = 400
_HTTP_CONFLICT: Final = 409
_HTTP_TOO_MANY: Final = 429
_HTTP_SERVER_ERROR: Final = 500
_MESSAGE_LIMIT: Final = 1000
_REFUSED: Final = "Refused"
_INVALID: Final = "ContainerConfigInvalid"


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    """A sentence of Kubernetes: what it means, what it names, and what to do."""

    pattern: re.Pattern[str]
    reason: str
    object: str  # a template for re.Match.expand, as is the remedy
    remedy: str
    passing: bool

    def cause(self, text: str, *, since: float | None = None) -> StudyCause | None:
        found = self.pattern.search(text)
        if found is None:
            return None
        message = "; ".join(filter(None, [_line(text), found.expand(self.remedy)]))
        return StudyCause(
            reason=self.reason, message=message, object=found.expand(self.object), passing=self.passing, since=since
        )


def _sentence(pattern: str, reason: str, named: str = "", remedy: str = "", *, passing: bool = False) -> _Sentence:
    return _Sentence(pattern=re.compile(pattern, re.DOTALL), reason=reason, object=named, remedy=remedy, passing=passing)


_REFUSALS: Final = (
    _sentence(r"exceeded quota: ([^,\s]+),", "QuotaExceeded", r"ResourceQuota/\1", passing=True),
    _sentence(r"failed quota: ([^:\s]+):", "QuotaNeedsResources", r"ResourceQuota/\1", "set them in spec.trial.template"),
    _sentence(r"status unknown for quota: ([^,\s]+),", "QuotaUnknown", r"ResourceQuota/\1", passing=True),
    _sentence(
        r'violates PodSecurity "([^"]+)"',
        "PodSecurityViolated",
        r"PodSecurity/\1",
        "set that securityContext in spec.trial.template",
    ),
    _sentence(r'admission webhook "([^"]+)" denied', "AdmissionDenied", r"Webhook/\1"),
    _sentence(r'failed calling webhook "([^"]+)"', "WebhookUnavailable", r"Webhook/\1", passing=True),
    _sentence(r"ValidatingAdmissionPolicy '([^']+)'", "AdmissionDenied", r"ValidatingAdmissionPolicy/\1"),
    _sentence(r'serviceaccount "([^"]+)" not found', "ServiceAccountMissing", r"ServiceAccount/\1", "create it"),
    _sentence(r"no PriorityClass with name (\S+) was found", "PriorityClassMissing", r"PriorityClass/\1", "create it"),
    _sentence(r'(?:RuntimeClass|runtimeclass\S*) "([^"]+)" not found', "RuntimeClassMissing", r"RuntimeClass/\1", "create it"),
    _sentence(r"(?:maximum|minimum) \S+ usage per ", "LimitRangeViolated", remedy="change resources in spec.trial.template"),
    _sentence(r"in namespace (\S+) because it is being terminated", "NamespaceTerminating", r"Namespace/\1"),
    _sentence(r'namespaces "([^"]+)" not found', "NamespaceTerminating", r"Namespace/\1"),
    _sentence(r'User "([^"]+)" cannot \w+ resource', "PermissionMissing", r"User/\1", "grant it, see the operator's Role"),
    _sentence(r" is invalid: |cannot be handled as a Job: ", "TemplateInvalid", remedy="mend spec.trial.template"),
)
"""Refusals of the API server, of its admission plugins, and of webhooks. The first that fits decides."""

_CONFIGURATION: Final = (
    _sentence(r'secret "([^"]+)" not found', "SecretMissing", r"Secret/\1", "create it"),
    _sentence(r'configmap "([^"]+)" not found', "ConfigMapMissing", r"ConfigMap/\1", "create it"),
    _sentence(r"find key \S+ in Secret [^/\s]+/(\S+)", "SecretKeyMissing", r"Secret/\1", "add the key"),
    _sentence(r"find key \S+ in ConfigMap [^/\s]+/(\S+)", "ConfigMapKeyMissing", r"ConfigMap/\1", "add the key"),
    _sentence(r"references non-existent secret key", "SecretKeyMissing"),
    _sentence(r"references non-existent config key", "ConfigMapKeyMissing"),
    _sentence(r"runAsNonRoot", "ImageRunsAsRoot", remedy="set securityContext.runAsUser in spec.trial.template.spec, not 0"),
    _sentence(r"", _INVALID),
)
"""Why the kubelet cannot put a container or its volumes together."""

_UNSCHEDULABLE: Final = (
    _sentence(r'persistentvolumeclaim "([^"]+)" not found', "VolumeClaimMissing", r"PersistentVolumeClaim/\1", "create it"),
    _sentence(r'persistentvolumeclaim "([^"]+)" bound to non-existent', "VolumeClaimLost", r"PersistentVolumeClaim/\1"),
    _sentence(r"unbound immediate PersistentVolumeClaims", "VolumeClaimUnbound"),
    _sentence(
        r"",
        "Unschedulable",
        remedy="wait for room; if no node is large enough or has those labels, ask for less in spec.trial",
        passing=True,
    ),
)
"""Why the scheduler finds no node."""

_IMAGE_REASONS: Final = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "SignatureValidationFailed",
    )
)
_UNUSABLE_REASONS: Final = frozenset(("CreateContainerConfigError", "CreateContainerError"))
_MOUNT_EVENTS: Final = frozenset(("FailedMount", "FailedAttachVolume"))
_BACK_OFF: Final = re.compile(r"Back-off pulling image \S+?(?:: |$)")


@dataclass(frozen=True, kw_only=True)
class WarningEvent:
    """An Event of type Warning about a Job or a Pod: some things are said nowhere else."""

    reason: str
    message: str
    seen: tuple[str, int] = field(default=("", 0), compare=False)  # when last, and in which version: a larger one is newer


def refusal(code: int, message: str) -> StudyCause | None:
    """What a refused request to create a Job or a Pod says about the study.

    Args:
        code: HTTP status of the answer.
        message: of the Status object in it.

    Returns:
        None when the cluster has no objection (conflict, too many requests, server error): the same request may pass later.
    """
    for sentence in _REFUSALS:
        if cause := sentence.cause(message):
            return cause
    if code in (_HTTP_CONFLICT, _HTTP_TOO_MANY) or not _HTTP_BAD_REQUEST <= code < _HTTP_SERVER_ERROR:
        return None
    return StudyCause(reason=_REFUSED, message=_line(message))


def name_taken(name: str) -> StudyCause:
    """Somebody else's Job stands under the name of one of ours."""
    return StudyCause(reason="NameTaken", message=f"Job {name} is not of this study; delete it", object=f"Job/{name}")


def left_over(name: str) -> StudyCause:
    """A Job of this study that was made for something else stands under the name of one of ours, and is on its way out."""
    message = f"Job {name} was started for another trial than the database has under its number; it is being deleted"
    return StudyCause(reason="NameTaken", message=message, object=f"Job/{name}", passing=True)


def without_pod(warnings: Iterable[WarningEvent]) -> StudyCause | None:
    """Why the Job controller makes no Pod of a Job; it says that in Events alone."""
    for warning in warnings:
        if warning.reason == "FailedCreate":
            cause = refusal(_HTTP_BAD_REQUEST, warning.message.removeprefix("Error creating: "))
            # Its status code is not told: what nobody here knows may be no more than a server in trouble.
            return replace(cause, passing=True) if cause and cause.reason == _REFUSED else cause
    return None


def waiting(pod: PodView, warnings: Iterable[WarningEvent] = ()) -> StudyCause | None:
    """Why a Pod that has not ended does not run; None when it runs, or is on its way."""
    return next(_reasons(pod, warnings), None)


def _reasons(pod: PodView, warnings: Iterable[WarningEvent]) -> Iterator[StudyCause]:
    scheduled = pod.scheduled
    if scheduled and not scheduled.status and scheduled.reason == "Unschedulable":
        yield from _first(_UNSCHEDULABLE, scheduled.message, since=scheduled.since)
    for container in (*pod.init, *filter(None, [pod.trainer]), *pod.others):
        yield from _container(container, pod)
    if any(c.waiting in ("ContainerCreating", "PodInitializing") for c in filter(None, [pod.trainer])):
        for warning in warnings:
            if warning.reason in _MOUNT_EVENTS:
                yield from _mount(warning, pod)


def _container(container: ContainerView, pod: PodView) -> Iterator[StudyCause]:
    message = container.waiting_message
    if container.waiting in _IMAGE_REASONS:
        # The back-off's own words repeat the image; what went wrong stands behind them.
        detail = _BACK_OFF.sub("", message) or message or container.waiting
        named = f"Image/{container.image}"
        text = f"container {container.name}: image {container.image}: {detail}"
        yield StudyCause(reason="ImageNotPulled", message=_line(text), object=named, since=pod.placed_at)
    elif container.waiting in _UNUSABLE_REASONS:
        yield from _first(_CONFIGURATION, f"container {container.name}: {message or container.waiting}", since=pod.placed_at)
    elif container in pod.init and pod.trainer is not None and pod.trainer.waiting:
        yield from _sidecar(container, pod)


def _sidecar(container: ContainerView, pod: PodView) -> Iterator[StudyCause]:
    # Where it cannot even be started, the kubelet leaves its last end in place of the back-off.
    failed = container.exit if container.restarts and container.exit and container.exit.code else None
    if container.waiting != "CrashLoopBackOff" and failed is None:
        return
    said = f"exit code {failed.code}: {failed.message}" if failed else container.waiting_message
    text = f"sidecar {container.name} keeps failing before the trial starts: {said}"
    yield StudyCause(reason="SidecarFails", message=_line(text), object=f"Container/{container.name}", since=pod.placed_at)


def _mount(warning: WarningEvent, pod: PodView) -> Iterator[StudyCause]:
    for cause in _first(_CONFIGURATION, warning.message, since=pod.placed_at):
        unnamed = cause.reason == _INVALID
        # A volume may be slow to attach, or still held by the node of an earlier Pod.
        yield replace(cause, reason="VolumeNotMounted", passing=True) if unnamed else cause


def _first(sentences: Iterable[_Sentence], text: str, *, since: float | None) -> Iterator[StudyCause]:
    for sentence in sentences:
        if cause := sentence.cause(text, since=since):
            yield cause
            return


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LIMIT else f"{line[: _MESSAGE_LIMIT - 3]}..."
