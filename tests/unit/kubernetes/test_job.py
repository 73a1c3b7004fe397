"""The Job of an attempt: what is added to a template, and what is not."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import V1Job

from tuning_operator.api.contract import expand
from tuning_operator.api.study import TrialTemplate
from tuning_operator.runtime.kubernetes.job import StudyRef, build, is_ours, job_name
from tuning_operator.runtime.protocol import AttemptKey, Launch

STUDY: Final = StudyRef(namespace="research", name="digits", uid="7d1c9f60-0000-4000-8000-000000000001")
KEY: Final = AttemptKey(3, 1)
ENVIRONMENT: Final = {"TUNING_STUDY": "research/digits", "TUNING_TRIAL": "3", "TUNING_ROLE": "search"}
ENDPOINT: Final = "http://tuning-operator.tuning.svc:8080"


def trial(template: Mapping[str, Any], *, gpus: int = 0) -> TrialTemplate:
    return TrialTemplate.model_validate_json(json.dumps({"gpus": gpus, "template": template}))


def template(*containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"spec": {"containers": list(containers or ({"name": "train", "image": "trainer:1"},)), **spec}}
    return document | ({"metadata": metadata} if metadata else {})


def job(
    document: Mapping[str, Any], *, gpus: int = 0, endpoint: str | None = ENDPOINT, environment: Mapping[str, str] = ENVIRONMENT
) -> dict[str, Any]:
    return build(STUDY, trial(document, gpus=gpus), Launch(key=KEY, environment=environment), endpoint=endpoint)


def pod_spec(document: Mapping[str, Any], **options: Any) -> Any:
    return job(document, **options)["spec"]["template"]["spec"]


def trainer(document: Mapping[str, Any], **options: Any) -> Any:
    return pod_spec(document, **options)["containers"][0]


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


# The name


def test_the_name_of_a_job_stays_as_it_is_from_release_to_release() -> None:
    assert job_name(STUDY, KEY) == "digits-46b5e2df-3-1"


names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)
keys = st.builds(AttemptKey, st.integers(0, 10**6), st.integers(0, 10**4))


@given(name=names, uid=st.uuids(), key=keys)
def test_the_name_of_a_job_is_a_dns_label_whatever_the_study_is_called(name: str, uid: object, key: AttemptKey) -> None:
    made = job_name(StudyRef(namespace="n", name=name, uid=str(uid)), key)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", made)


@given(name=names, uids=st.tuples(st.uuids(), st.uuids()), one=keys, other=keys)
def test_two_attempts_never_share_a_name(name: str, uids: tuple[object, object], one: AttemptKey, other: AttemptKey) -> None:
    studies = [StudyRef(namespace="n", name=name, uid=str(uid)) for uid in uids]
    same = uids[0] == uids[1] and one == other
    assert (job_name(studies[0], one) == job_name(studies[1], other)) is same


# The Job


def test_a_job_runs_one_pod_and_remembers_why_it_failed() -> None:
    spec = job(template())["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert "ttlSecondsAfterFinished" not in spec
    assert "suspend" not in spec
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["FailJob"] * 4
    matches = [rule.get("onExitCodes", rule.get("onPodConditions")) for rule in spec["podFailurePolicy"]["rules"]]
    assert matches == [
        [{"type": "DisruptionTarget", "status": "True"}],
        {"operator": "In", "values": [75]},
        {"operator": "In", "values": [78]},
        {"operator": "NotIn", "values": [0]},
    ]


def test_a_job_belongs_to_its_study() -> None:
    metadata = job(template())["metadata"]
    assert metadata["namespace"] == "research"
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "tuningstudy.dev/v1alpha1",
            "kind": "TuningStudy",
            "name": "digits",
            "uid": STUDY.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_job_and_pod_carry_the_same_labels_and_the_pod_keeps_the_users() -> None:
    made = job(template(metadata={"labels": {"team": "vision", "tuningstudy.dev/trial": "99"}, "annotations": {"a": "b"}}))
    ours = {
        "app.kubernetes.io/managed-by": "tuning-operator",
        "tuningstudy.dev/study": "digits",
        "tuningstudy.dev/study-uid": STUDY.uid,
        "tuningstudy.dev/trial": "3",
        "tuningstudy.dev/attempt": "1",
        "tuningstudy.dev/role": "search",
    }
    pod = made["spec"]["template"]["metadata"]
    assert made["metadata"]["labels"] == ours
    assert pod["labels"] == {"team": "vision", **ours}
    assert pod["annotations"] == {"a": "b", "tuningstudy.dev/trainer-container": "train"}


def test_the_label_with_a_long_name_is_cut_to_a_valid_one() -> None:
    study = StudyRef(namespace="n", name="a" * 62 + ".b", uid="u")
    made = build(study, trial(template()), Launch(key=KEY, environment=ENVIRONMENT), endpoint=None)
    assert made["metadata"]["labels"]["tuningstudy.dev/study"] == "a" * 62


def test_the_queue_of_kueue_stands_on_the_job() -> None:
    labels = {"kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/priority-class": "low"}
    made = job(template(metadata={"labels": labels | {"team": "vision"}}))
    assert made["metadata"]["labels"].items() >= labels.items()
    assert "team" not in made["metadata"]["labels"]


def test_a_job_under_our_name_with_our_owner_is_ours() -> None:
    assert is_ours(job(template()), STUDY, KEY)


@pytest.mark.parametrize(
    ("study", "key"),
    [
        (StudyRef(namespace="research", name="digits", uid="another"), KEY),
        (STUDY, AttemptKey(3, 2)),
        (STUDY, AttemptKey(4, 1)),
    ],
    ids=["another study", "another attempt", "another trial"],
)
def test_a_job_is_not_ours_when_it_is_of(study: StudyRef, key: AttemptKey) -> None:
    assert not is_ours(job(template()), study, key)


def test_a_job_without_an_owner_is_not_ours() -> None:
    found = job(template())
    del found["metadata"]["ownerReferences"]
    assert not is_ours(found, STUDY, KEY)


def test_a_job_says_what_its_trial_is_told_in_a_digest() -> None:
    def digest(environment: Mapping[str, str]) -> str:
        return str(job(template(), environment=environment)["metadata"]["annotations"]["tuningstudy.dev/launch"])

    told = ENVIRONMENT | {"TUNING_PARAMETERS": '{"lr": 0.1}', "TUNING_SEED": "7"}
    assert digest(told) == digest(dict(reversed(told.items()))) == "dc1f382455923233"
    others = [told | {"TUNING_PARAMETERS": '{"lr": 0.2}'}, told | {"TUNING_SEED": "8"}, told | {"TUNING_ROLE": "baseline"}]
    assert len({digest(each) for each in (told, *others)}) == 4


# The contract


def test_every_container_is_told_first_and_the_users_variables_may_refer_to_that() -> None:
    own = [{"name": "RATE", "value": "$(TUNING_TRIAL)"}]
    spec = pod_spec(template({"name": "train", "env": own}, initContainers=[{"name": "fetch"}]))
    for container in (*spec["containers"], *spec["initContainers"]):
        told = variables(container)
        assert told.items() >= (ENVIRONMENT | {"TUNING_ENDPOINT": ENDPOINT}).items()
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert {m["mountPath"] for m in container["volumeMounts"]} >= {"/var/run/secrets/tuningstudy.dev"}
        assert told["TUNING_TOKEN_FILE"] == "/var/run/secrets/tuningstudy.dev/token"
    assert spec["containers"][0]["env"][-1] == own[0]


def test_only_the_trial_is_told_of_a_result_file() -> None:
    spec = pod_spec(template({"name": "trainer"}, {"name": "metrics"}))
    told = [variables(container).get("TUNING_RESULT_FILE") for container in spec["containers"]]
    assert told == ["/dev/termination-log", None]


def test_the_result_file_is_where_the_template_has_its_termination_message() -> None:
    container = trainer(template({"name": "train", "terminationMessagePath": "/result", "terminationMessagePolicy": "File"}))
    assert variables(container)["TUNING_RESULT_FILE"] == "/result"
    assert container["terminationMessagePolicy"] == "File"


def test_without_a_gateway_there_is_no_token() -> None:
    spec = pod_spec(template(), endpoint=None)
    assert not {"TUNING_ENDPOINT", "TUNING_TOKEN_FILE"} & set(variables(spec["containers"][0]))
    assert [volume["name"] for volume in spec["volumes"]] == ["tuning-shared-memory"]


def test_the_token_is_good_for_the_gateway_alone() -> None:
    spec = pod_spec(template())
    (source,) = next(v for v in spec["volumes"] if v["name"] == "tuning-token")["projected"]["sources"]
    assert source == {"serviceAccountToken": {"audience": "gateway.tuningstudy.dev", "expirationSeconds": 3600, "path": "token"}}
    assert spec["automountServiceAccountToken"] is False


@given(value=st.text(alphabet="$()AB {}\"'", max_size=12))
def test_a_value_reaches_the_container_as_it_is_whatever_dollars_it_has(value: str) -> None:
    told = variables(trainer(template(), environment=ENVIRONMENT | {"A": "x", "TUNING_PARAMETERS": value}))
    assert expand([told["TUNING_PARAMETERS"]], {"A": "x", "B": "y"}) == (value,)


# What a template may leave to us


def test_a_pod_never_restarts_its_containers() -> None:
    assert pod_spec(template(restartPolicy="OnFailure"))["restartPolicy"] == "Never"


def test_gpus_go_to_the_trainer_beside_its_other_limits() -> None:
    document = template({"name": "trainer", "resources": {"limits": {"memory": "1Gi"}}}, {"name": "metrics"})
    containers = pod_spec(document, gpus=2)["containers"]
    assert containers[0]["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "2"}
    assert "resources" not in containers[1]


def test_gpus_that_the_template_asks_for_itself_are_not_added_to() -> None:
    resources = {"limits": {"amd.com/gpu": 1}}
    assert trainer(template({"name": "train", "resources": resources}), gpus=1)["resources"] == resources


def test_what_a_run_adds_to_the_template_is_in_its_job_alone() -> None:
    volume = {"name": "test-rows", "persistentVolumeClaim": {"claimName": "test-rows"}}
    mounts = [{"name": "test-rows", "mountPath": "/test"}]
    additions = {"spec": {"containers": [{"name": "train", "volumeMounts": mounts}], "volumes": [volume]}}
    search = trial(template())
    final = build(STUDY, search, Launch(key=KEY, environment=ENVIRONMENT, template=additions), endpoint=ENDPOINT)
    spec = final["spec"]["template"]["spec"]
    assert volume in spec["volumes"]
    assert (spec["containers"][0]["image"], mounts[0] in spec["containers"][0]["volumeMounts"]) == ("trainer:1", True)
    assert "test-rows" not in json.dumps(build(STUDY, search, Launch(key=KEY, environment=ENVIRONMENT), endpoint=ENDPOINT))


def test_gpus_that_a_run_asks_for_itself_are_not_added_to() -> None:
    resources = {"limits": {"amd.com/gpu": 1}}
    launch = Launch(
        key=KEY, environment=ENVIRONMENT, template={"spec": {"containers": [{"name": "train", "resources": resources}]}}
    )
    made = build(STUDY, trial(template(), gpus=1), launch, endpoint=ENDPOINT)
    assert made["spec"]["template"]["spec"]["containers"][0]["resources"] == resources


def test_shared_memory_is_as_large_as_the_memory() -> None:
    spec = pod_spec(template())
    assert {"name": "tuning-shared-memory", "emptyDir": {"medium": "Memory"}} in spec["volumes"]
    assert {"name": "tuning-shared-memory", "mountPath": "/dev/shm"} in spec["containers"][0]["volumeMounts"]


def test_shared_memory_that_the_template_mounts_is_left_alone() -> None:
    mounts = [{"name": "shm", "mountPath": "/dev/shm/"}]
    spec = pod_spec(template({"name": "train", "volumeMounts": mounts}, volumes=[{"name": "shm", "emptyDir": {}}]))
    assert [volume["name"] for volume in spec["volumes"]] == ["shm", "tuning-token"]


def test_a_service_account_token_is_mounted_when_the_template_says_so() -> None:
    assert pod_spec(template(automountServiceAccountToken=True))["automountServiceAccountToken"] is True


RESTRICTED: Final = {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}


@pytest.mark.parametrize(
    ("pod", "stated", "expected"),
    [
        ({}, {}, RESTRICTED),
        ({"runAsNonRoot": False}, {}, {k: v for k, v in RESTRICTED.items() if k != "runAsNonRoot"}),
        ({"runAsUser": 0}, {}, {k: v for k, v in RESTRICTED.items() if k != "runAsNonRoot"}),
        ({"runAsUser": 0}, {"runAsUser": 1000}, {"runAsUser": 1000, **RESTRICTED}),
        ({}, {"runAsNonRoot": False}, RESTRICTED | {"runAsNonRoot": False}),
        ({}, {"capabilities": {"add": ["NET_ADMIN"]}}, RESTRICTED | {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}),
        ({}, {"capabilities": {"drop": []}}, RESTRICTED | {"capabilities": {"drop": []}}),
        ({}, {"privileged": True}, {"privileged": True, "runAsNonRoot": True}),
        (
            {},
            {"capabilities": {"add": ["SYS_ADMIN"]}},
            {"runAsNonRoot": True, "capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]}},
        ),
    ],
    ids=[
        "nothing stated",
        "root allowed on the Pod",
        "root on the Pod",
        "root on the Pod and not here",
        "root allowed here",
        "a capability more",
        "no capability dropped",
        "privileged",
        "a capability that implies escalation",
    ],
)
def test_security_is_restricted_where_the_template_leaves_it_open(
    pod: dict[str, Any], stated: dict[str, Any], expected: dict[str, Any]
) -> None:
    spec = pod_spec(template({"name": "train", "securityContext": stated}, securityContext=pod))
    assert spec["containers"][0]["securityContext"] == expected
    assert spec["securityContext"] == pod | {"seccompProfile": {"type": "RuntimeDefault"}}


def test_a_pod_for_windows_is_left_as_it_is() -> None:
    spec = pod_spec(template(os={"name": "windows"}))
    assert "securityContext" not in spec
    assert "securityContext" not in spec["containers"][0]


# Any template

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", min_size=1, max_size=3), inner, max_size=2),
    max_leaves=4,
)
extras = st.dictionaries(st.text("xyz", min_size=1, max_size=3), json_values, max_size=2)
some_env = st.lists(st.fixed_dictionaries({"name": st.sampled_from(["A", "B"]), "value": st.text(max_size=3)}), max_size=2)
some_mounts = st.lists(
    st.fixed_dictionaries({"name": st.just("v"), "mountPath": st.sampled_from(["/v", "/dev/shm"])}), max_size=1
)


@st.composite
def a_container(draw: st.DrawFn, name: str) -> dict[str, Any]:
    known = st.fixed_dictionaries(
        {"image": st.just("i:1")},
        optional={
            "env": some_env,
            "volumeMounts": some_mounts,
            "terminationMessagePath": st.just("/result"),
            "terminationMessagePolicy": st.sampled_from(["File", "FallbackToLogsOnError"]),
            "resources": st.sampled_from(
                [{}, {"limits": {"cpu": 1}}, {"limits": {"nvidia.com/gpu": 1}}, {"requests": {"cpu": 1}}]
            ),
            "securityContext": st.sampled_from([{}, {"runAsUser": 0}, {"privileged": True}, {"runAsNonRoot": False}]),
        },
    )
    return {"name": name, **draw(known), **draw(extras)}


@st.composite
def templates(draw: st.DrawFn) -> dict[str, Any]:
    spec = {"containers": [draw(a_container("trainer")), *(draw(a_container(f"c{n}")) for n in range(draw(st.integers(0, 1))))]}
    known = st.fixed_dictionaries(
        {},
        optional={
            "initContainers": st.lists(a_container("init"), max_size=1),
            "volumes": st.just([{"name": "v", "emptyDir": {}}]),
            "automountServiceAccountToken": st.booleans(),
            "securityContext": st.sampled_from([{}, {"runAsUser": 0}, {"fsGroup": 7}]),
            "nodeSelector": st.just({"gpu": "a100"}),
        },
    )
    document: dict[str, Any] = {"spec": {**spec, **draw(known), **draw(extras)}}
    if draw(st.booleans()):
        document["metadata"] = {"labels": {"team": "vision"}, "annotations": {"note": "x"}}
    return document


def kept(before: Any, after: Any) -> bool:
    """Whether everything of one document is in the other, at its place; lists may have grown at either end."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(key in after and kept(value, after[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        rest = iter(after)
        return all(any(kept(item, candidate) for candidate in rest) for item in before)
    return bool(before == after and type(before) is type(after))


@given(document=templates(), gpus=st.integers(0, 2))
def test_whatever_a_template_states_stands_and_the_template_is_not_touched(document: dict[str, Any], gpus: int) -> None:
    stated = trial(document, gpus=gpus)
    before = copy.deepcopy(stated.template)
    made = build(STUDY, stated, Launch(key=KEY, environment=ENVIRONMENT), endpoint=ENDPOINT)
    made_spec = made["spec"]["template"]
    assert stated.template == before
    assert kept(document, made_spec)
    made_spec["spec"]["containers"][0]["env"].clear()
    assert stated.template == before


@given(document=templates())
def test_the_same_attempt_makes_the_same_job(document: dict[str, Any]) -> None:
    assert job(document) == job(document)


@pytest.mark.parametrize(
    "document",
    [
        template(),
        template({"name": "trainer", "image": "a"}, {"name": "b", "image": "b"}, initContainers=[{"name": "c", "image": "c"}]),
        template(
            {"name": "train", "image": "a", "securityContext": {"runAsUser": 1000}, "resources": {"limits": {"memory": "2Gi"}}},
            metadata={"labels": {"kueue.x-k8s.io/queue-name": "gpus"}},
            tolerations=[{"key": "gpu", "operator": "Exists"}],
        ),
    ],
    ids=["one container", "three containers", "a queue and a toleration"],
)
def test_the_official_client_reads_the_job_back_as_it_was(document: dict[str, Any]) -> None:
    made = job(document, gpus=1)
    read = V1Job.from_dict(made)
    assert read is not None
    assert kept(made, json.loads(read.model_dump_json(by_alias=True)))
