"""What a refused request says about the study: a row per kind of refusal."""

from __future__ import annotations

from typing import Final

import pytest

from tuning_operator.runtime.kubernetes.causes import refusal

ROWS: Final = {
    "a used-up quota, which may pass": (
        403,
        'jobs.batch "d-1" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1, used: 4, limited: 4',
        ("QuotaExceeded", "ResourceQuota/jobs", True),
    ),
    "a quota that wants limits": (
        403,
        'pods "d-1" is forbidden: failed quota: compute: must specify limits.cpu for: trainer',
        ("QuotaNeedsResources", "ResourceQuota/compute", False),
    ),
    "a quota just made": (
        403,
        'pods "d-1" is forbidden: status unknown for quota: compute, resources: pods',
        ("QuotaUnknown", "ResourceQuota/compute", True),
    ),
    "Pod security": (
        403,
        'pods "d-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod must not)',
        ("PodSecurityViolated", "PodSecurity/restricted:latest", False),
    ),
    "a webhook": (
        400,
        'admission webhook "images.corp.example" denied the request: only from the corporate registry',
        ("AdmissionDenied", "Webhook/images.corp.example", False),
    ),
    "a webhook that does not answer, which may pass": (
        500,
        'Internal error occurred: failed calling webhook "kueue.x-k8s.io": connection refused',
        ("WebhookUnavailable", "Webhook/kueue.x-k8s.io", True),
    ),
    "an admission policy": (
        422,
        "jobs.batch \"d-1\" is forbidden: ValidatingAdmissionPolicy 'gpus' with binding 'all' denied request: no",
        ("AdmissionDenied", "ValidatingAdmissionPolicy/gpus", False),
    ),
    "a missing service account": (
        403,
        'pods "d-1" is forbidden: error looking up service account research/train: serviceaccount "train" not found',
        ("ServiceAccountMissing", "ServiceAccount/train", False),
    ),
    "a missing priority class": (
        403,
        'pods "d-1" is forbidden: no PriorityClass with name urgent was found',
        ("PriorityClassMissing", "PriorityClass/urgent", False),
    ),
    "a limit range": (
        403,
        'pods "d-1" is forbidden: [maximum memory usage per Container is 1Gi, but limit is 2Gi]',
        ("LimitRangeViolated", "", False),
    ),
    "a namespace that is going": (
        403,
        'jobs.batch "d-1" is forbidden: unable to create new content in namespace research because it is being terminated',
        ("NamespaceTerminating", "Namespace/research", False),
    ),
    "a permission that the operator lacks": (
        403,
        'jobs.batch is forbidden: User "system:serviceaccount:tuning:operator" cannot create resource "jobs"',
        ("PermissionMissing", "User/system:serviceaccount:tuning:operator", False),
    ),
    "a template that is none": (
        422,
        'Job.batch "d-1" is invalid: spec.template.spec.containers[0].image: Required value',
        ("TemplateInvalid", "", False),
    ),
    "anything else that is refused": (400, "strict decoding error", ("Refused", "", False)),
}


@pytest.mark.parametrize(("code", "message", "expected"), ROWS.values(), ids=ROWS.keys())
def test_the_study_is_kept_from_running_by(code: int, message: str, expected: tuple[str, str, bool]) -> None:
    cause = refusal(code, message)
    assert cause is not None
    assert (cause.reason, cause.object, cause.passing) == expected
    assert cause.message.startswith(message)


@pytest.mark.parametrize(
    ("code", "message"),
    [(409, 'jobs.batch "d-1" already exists'), (429, "too many requests"), (500, "etcdserver: timeout"), (503, "starting")],
    ids=["a conflict", "too many requests", "a server error", "a server that is not ready"],
)
def test_the_cluster_has_no_objection_with(code: int, message: str) -> None:
    assert refusal(code, message) is None


def test_a_very_long_refusal_is_cut_to_what_a_condition_should_hold() -> None:
    cause = refusal(403, "x" * 5000)
    assert cause is not None
    assert len(cause.message) == 1000


def test_a_refusal_says_what_to_do_where_that_is_known() -> None:
    cause = refusal(422, 'Job.batch "d-1" is invalid: spec.template.spec.volumes[0].name: Duplicate value: "x"')
    assert cause is not None
    assert cause.message.endswith('Duplicate value: "x"; mend spec.trial.template')
