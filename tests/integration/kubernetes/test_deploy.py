"""The manifests of deploy/ on a real API server, whose controllers make the Pods. There are no nodes for these."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from kubernetes.client import ApiClient, AuthorizationV1Api, Configuration, CoreV1Api, V1SubjectAccessReview
from kubernetes.client.exceptions import ApiException
from kubernetes.config import incluster_config
from tests.cluster.control_plane import KubectlError, free_ports
from tests.cluster.waiting import until
from tests.support.kubernetes import ApiServer
from tests.unit.deploy.overlays import DEPLOY, NAMESPACE, OVERLAYS, Document, containers, overlay

from tuning_operator.cli import database_secret
from tuning_operator.cli.database_secret import ensure_database_secret
from tuning_operator.store.connection import database_url

TEAMS: Final = ("team-a", "team-b")  # that the overlay for listed namespaces names
OPERATOR: Final = f"system:serviceaccount:{NAMESPACE}:tuning-operator"
PATIENCE: Final = 60.0
MIRROR: Final = "registry.example/tuning/operator"


def folder(name: str) -> Path:
    return DEPLOY / "overlays" / name


def apply(api_server: ApiServer, path: Path, *options: str) -> list[str]:
    """What kubectl says of each object."""
    return api_server.kubectl("apply", f"--kustomize={path}", "--validate=strict", *options).splitlines()


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    """One with the namespaces that the manifests are about."""
    for team in TEAMS:
        api_server.kubectl("create", "namespace", team)
    api_server.kubectl("apply", f"--filename={DEPLOY / 'base' / 'namespace.yaml'}")
    return api_server


@pytest.fixture(scope="module")
def installed(server: ApiServer) -> ApiServer:
    """One to which the overlay with PostgreSQL is applied."""
    apply(server, folder("postgres"))
    return server


# Applying


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_accepted(server: ApiServer, name: str) -> None:
    said = apply(server, folder(name), "--dry-run=server")
    assert len(said) == len(overlay(name).documents)
    assert all(line.endswith("(server dry run)") for line in said)


@pytest.mark.parametrize("name", OVERLAYS)
def test_applying_again_changes_nothing(server: ApiServer, name: str) -> None:
    apply(server, folder(name))
    before = kept(server, name)
    apply(server, folder(name))
    assert kept(server, name) == before


def kept(server: ApiServer, name: str) -> list[Document]:
    """What is there of an overlay, less what controllers write."""
    objects: list[Document] = json.loads(server.kubectl("get", f"--kustomize={folder(name)}", "--output=json"))["items"]
    assert len(objects) == len(overlay(name).documents)
    for each in objects:
        each.pop("status", None)
        # Controllers write annotations too; kubectl's own keeps what was applied.
        each["metadata"] = {key: each["metadata"].get(key) for key in ("name", "namespace", "uid", "generation", "labels")}
    return objects


def test_another_image_replaces_pods_that_never_became_ready(installed: ApiServer, tmp_path: Path) -> None:
    """An image that does not pull is the first thing that goes wrong; applying the mended name must be enough."""
    renamed = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(folder("postgres"), tmp_path)],
        "images": [{"name": "tuning-operator", "newName": MIRROR, "newTag": "9"}],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(renamed), encoding="utf-8")
    until(lambda: images_of_pods(installed) == overlay_images("postgres"), seconds=PATIENCE, what="the controllers make Pods")
    apply(installed, tmp_path)
    expected = {image.replace("tuning-operator:0.1.0", f"{MIRROR}:9") for image in overlay_images("postgres")}
    until(lambda: images_of_pods(installed) == expected, seconds=PATIENCE, what="they make new ones")


def overlay_images(name: str) -> set[str]:
    return {container["image"] for template in overlay(name).templates for container in containers(template)}


def images_of_pods(server: ApiServer) -> set[str]:
    pods = json.loads(server.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=json"))["items"]
    return {container["image"] for pod in pods for container in containers(pod)}


# Pod security


def create_pod(server: ApiServer, template: Document) -> str:
    """What the API server says of a Pod; nothing is kept."""
    pod = {**template, "apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "probe"}}
    # A StatefulSet adds the volumes of its claims.
    mounted = {mount["name"] for container in containers(template) for mount in container["volumeMounts"]}
    volumes = template["spec"]["volumes"]
    missing = mounted - {volume["name"] for volume in volumes}
    pod["spec"] = {**template["spec"], "volumes": [*volumes, *({"name": name, "emptyDir": {}} for name in missing)]}
    options = (f"--namespace={NAMESPACE}", "--filename=-", "--dry-run=server", "--validate=strict")
    return server.kubectl("create", *options, stdin=json.dumps(pod))


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_pod_is_accepted_where_restricted_is_enforced(installed: ApiServer, name: str) -> None:
    for template in overlay(name).templates:
        assert "created" in create_pod(installed, template)


def test_the_pod_that_restores_a_file_is_accepted_there(installed: ApiServer) -> None:
    text = (DEPLOY.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    (manifest,) = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "kind: Pod\n" in block]
    assert "created" in installed.kubectl("create", "--filename=-", "--dry-run=server", "--validate=strict", stdin=manifest)


def test_a_laxer_pod_is_refused_there(installed: ApiServer) -> None:
    (template, *_) = overlay("sqlite").templates
    laxer = {**template, "spec": {**template["spec"], "securityContext": {}}}
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        create_pod(installed, laxer)


# Permissions

Question = tuple[str, str, str, str, str]
"""Verb, group, resource[/subresource], namespace, name; "" is any."""

IN_A_NAMESPACE: Final[dict[tuple[str, str], str]] = {
    ("tuningstudy.dev", "tuningstudies"): "get list watch delete",
    ("tuningstudy.dev", "tuningstudies/status"): "patch",
    ("tuningstudy.dev", "tuningstudies/finalizers"): "update",
    ("batch", "jobs"): "get list watch create patch delete",
    ("", "pods"): "list watch delete",
    ("", "events"): "list watch create",
}
IN_THE_CLUSTER: Final[dict[Question, bool]] = {
    ("create", "authentication.k8s.io", "tokenreviews", "", ""): True,
    ("create", "authorization.k8s.io", "subjectaccessreviews", "", ""): True,
    ("get", "", "namespaces", "kube-system", "kube-system"): True,
    ("get", "", "namespaces", "default", "default"): False,
    ("list", "", "namespaces", "", ""): False,
    ("get", "", "nodes", "", ""): False,
    ("list", "", "nodes", "", ""): False,
    ("list", "apiextensions.k8s.io", "customresourcedefinitions", "", ""): False,
    ("impersonate", "", "users", "", ""): False,
    ("bind", "rbac.authorization.k8s.io", "clusterroles", "", ""): False,
}
NEVER: Final[tuple[tuple[str, str, str], ...]] = (
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "secrets"),
    ("get", "", "configmaps"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("get", "", "pods/log"),
    ("create", "", "pods/eviction"),
    ("create", "", "serviceaccounts/token"),
    ("deletecollection", "batch", "jobs"),
    ("deletecollection", "", "pods"),
    ("create", "tuningstudy.dev", "tuningstudies"),
    ("patch", "tuningstudy.dev", "tuningstudies"),
    ("update", "tuningstudy.dev", "tuningstudies"),
    ("update", "tuningstudy.dev", "tuningstudies/status"),
    ("update", "batch", "jobs"),
    ("delete", "", "events"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
)
CHANGES: Final = ("create", "update", "patch", "delete", "deletecollection")


def in_namespace(namespace: str, *, granted: bool) -> dict[Question, bool]:
    """What the operator may do in a namespace, or may not."""
    questions = {
        (verb, group, resource, namespace, ""): granted
        for (group, resource), verbs in IN_A_NAMESPACE.items()
        for verb in verbs.split()
    }
    return questions | {(verb, group, resource, namespace, ""): False for verb, group, resource in NEVER}


def answers(server: ApiServer, user: str, questions: Iterable[Question], groups: Iterable[str] = ()) -> dict[Question, bool]:
    """What the API server's authorizer says."""
    api = AuthorizationV1Api(server.client)
    said = {}
    for question in questions:
        verb, group, resource, namespace, name = question
        resource, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        where = {"namespace": namespace, "name": name}
        spec = {"user": user, "groups": list(groups), "resourceAttributes": {**attributes, **where}}
        review = V1SubjectAccessReview.from_dict({"spec": spec})
        assert review is not None
        status = api.create_subject_access_review(review).status
        said[question] = status is not None and status.allowed
    return said


def expect(server: ApiServer, user: str, expected: dict[Question, bool], groups: Iterable[str] = ()) -> None:
    """Wait until the authorizer, which learns of roles by a watch, says just that."""

    with suppress(TimeoutError):
        until(lambda: answers(server, user, expected, groups) == expected, seconds=PATIENCE, what="the roles are in force")
    assert answers(server, user, expected, groups) == expected


def test_the_operator_may_do_what_it_does_and_nothing_more(installed: ApiServer) -> None:
    expect(installed, OPERATOR, IN_THE_CLUSTER | in_namespace("research", granted=True) | in_namespace("", granted=True))


def test_for_listed_namespaces_it_may_do_so_only_there(installed: ApiServer) -> None:
    with without_cluster_wide_binding(installed):
        apply(installed, folder("namespaced"))
        expected = dict(IN_THE_CLUSTER)
        for team in TEAMS:
            expected |= in_namespace(team, granted=True)
        for elsewhere in ("research", NAMESPACE, "kube-system", ""):
            expected |= in_namespace(elsewhere, granted=False)
        expect(installed, OPERATOR, expected)


@contextmanager
def without_cluster_wide_binding(server: ApiServer) -> Iterator[None]:
    server.kubectl("delete", "clusterrolebinding", "tuning-operator")
    try:
        yield
    finally:
        server.kubectl("delete", "rolebinding", "tuning-operator", f"--namespace={TEAMS[0]}")
        server.kubectl("delete", "rolebinding", "tuning-operator", f"--namespace={TEAMS[1]}")
        apply(server, folder("postgres"))


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        pytest.param("view", {"get", "list", "watch"}, id="whoever may view a namespace reads its studies"),
        pytest.param("edit", {"get", "list", "watch", *CHANGES}, id="whoever may create Jobs there may create studies too"),
    ],
)
def test_the_clusters_own_roles_know_studies(installed: ApiServer, namespace: str, role: str, granted: set[str]) -> None:
    installed.kubectl("create", "rolebinding", "people", f"--clusterrole={role}", "--user=ada", f"--namespace={namespace}")
    verbs = ("get", "list", "watch", *CHANGES)
    expected = {(verb, "tuningstudy.dev", "tuningstudies", namespace, ""): verb in granted for verb in verbs}
    # The status is the operator's to write.
    expect(installed, "ada", expected | {("patch", "tuningstudy.dev", "tuningstudies/status", namespace, ""): False})


def test_everybody_in_the_cluster_may_ask_the_gateway_through_the_api_server(installed: ApiServer) -> None:
    proxy = ("get", "", "services/proxy", NAMESPACE, "tuning-operator:gateway")
    others = {
        ("create", "", "services/proxy", NAMESPACE, "tuning-operator:gateway"): False,
        ("get", "", "services/proxy", NAMESPACE, "tuning-operator:monitoring"): False,
        ("get", "", "services/proxy", NAMESPACE, "tuning-database:postgresql"): False,
        ("get", "", "services", NAMESPACE, "tuning-operator"): False,
    }
    expect(installed, "ada", {proxy: True, **others}, groups=("system:authenticated",))
    expect(installed, "nobody", {proxy: False, **others}, groups=("system:unauthenticated",))


# The password of the database


@pytest.fixture
def maker(installed: ApiServer) -> Iterator[CoreV1Api]:
    """The API as the database's Pod has it."""
    token = installed.kubectl("create", "token", "tuning-database", f"--namespace={NAMESPACE}").strip()
    plane = installed.plane
    configuration = Configuration(host=plane.url, ssl_ca_cert=str(plane.authority.own.certificate), no_proxy="*")
    configuration.api_key, configuration.api_key_prefix = {"BearerToken": token}, {"BearerToken": "Bearer"}
    with ApiClient(configuration) as client:
        yield CoreV1Api(client)
    installed.kubectl("delete", "secret", "tuning-database", f"--namespace={NAMESPACE}", "--ignore-not-found")


def secret(server: ApiServer) -> dict[str, str]:
    read = server.kubectl("get", "secret", "tuning-database", f"--namespace={NAMESPACE}", "--output=json")
    return {key: base64.b64decode(value).decode() for key, value in json.loads(read)["data"].items()}


def make(maker: CoreV1Api) -> bool:
    return ensure_database_secret(maker, namespace=NAMESPACE, name="tuning-database", host="tuning-database.tuning-system.svc")


def test_the_database_has_a_password_that_the_operators_url_repeats(installed: ApiServer, maker: CoreV1Api) -> None:
    assert make(maker)
    made = secret(installed)
    assert len(made["password"]) >= 32
    url = database_url(made["url"])
    assert (url.username, url.password, url.database) == ("tuning", made["password"], "tuning")
    assert (url.host, url.port) == ("tuning-database.tuning-system.svc", 5432)


def test_a_password_that_exists_stays(installed: ApiServer, maker: CoreV1Api) -> None:
    assert make(maker)
    made = secret(installed)
    assert not make(maker)
    assert secret(installed) == made


def test_no_two_passwords_are_the_same(installed: ApiServer, maker: CoreV1Api) -> None:
    make(maker)
    first = secret(installed)
    installed.kubectl("delete", "secret", "tuning-database", f"--namespace={NAMESPACE}")
    make(maker)
    assert secret(installed) != first


def test_whoever_makes_the_password_may_read_none(maker: CoreV1Api) -> None:
    make(maker)
    with pytest.raises(ApiException, match="cannot get resource"):
        maker.read_namespaced_secret("tuning-database", NAMESPACE)


def test_a_refusal_is_not_taken_for_a_secret_that_exists(maker: CoreV1Api) -> None:
    with pytest.raises(ApiException, match="cannot create resource"):
        ensure_database_secret(maker, namespace="default", name="tuning-database", host="tuning-database")


@pytest.fixture
def pod(installed: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment and files that a container of the database's Pod has. Returns the folder of the files."""
    host, port = installed.plane.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("NO_PROXY", "*")
    token = installed.kubectl("create", "token", "tuning-database", f"--namespace={NAMESPACE}").strip()
    (tmp_path / "token").write_text(token, encoding="utf-8")
    (tmp_path / "ca.crt").write_bytes(installed.plane.authority.own.certificate.read_bytes())
    (tmp_path / "namespace").write_text(NAMESPACE, encoding="utf-8")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(database_secret, "_NAMESPACE_FILE", tmp_path / "namespace")
    return tmp_path


def invoke(*, secret: str = "tuning-database") -> tuple[int, str]:
    result = CliRunner().invoke(database_secret.make_database_secret, [f"--secret={secret}", "--host=tuning-database"])
    return result.exit_code, result.output


@pytest.mark.usefixtures("pod", "maker")
def test_the_command_says_whether_it_made_the_secret(installed: ApiServer) -> None:
    assert invoke() == (0, "Secret tuning-system/tuning-database is made.\n")
    assert invoke() == (0, "Secret tuning-system/tuning-database exists, and stays as it is.\n")
    assert set(secret(installed)) == {"password", "url"}


@pytest.mark.usefixtures("pod")
def test_the_command_says_why_it_is_refused() -> None:
    code, said = invoke(secret="Not A Name")
    assert code == 1
    assert said.startswith("Error: the API server refuses Secret tuning-system/Not A Name: ")
    assert "metadata.name: Invalid value" in said


@pytest.mark.usefixtures("pod")
def test_the_command_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    (closed,) = free_ports(1)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(closed))
    code, said = invoke()
    assert code == 1
    assert said.startswith("Error: the API server does not answer: ")


def test_outside_of_a_pod_no_password_is_made() -> None:
    code, said = invoke()
    assert code == 1
    assert said.startswith("Error: this is not a Pod with a service account: ")
