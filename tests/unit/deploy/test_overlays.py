"""What the manifests promise, for every overlay. Whether an API server takes them is asked in tests/integration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, Final

import pytest
from tests.unit.deploy.overlays import NAMESPACE, OVERLAYS, Document, Overlay, containers, overlay

from tuning_operator.api.crd import definition
from tuning_operator.cli.database_secret import DATABASE, PASSWORD_KEY, URL_KEY, USER, make_database_secret
from tuning_operator.runtime.kubernetes.names import MANAGED_BY_LABEL, MANAGER
from tuning_operator.store.connection import database_url, is_sqlite, sqlite_file

OWN_IMAGE: Final = f"tuning-operator:{version('tuning-operator')}"
CLUSTER_SCOPED: Final = frozenset(("Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"))

Rules = set[tuple[str, str, str, str]]
"""Group, resource, name or "*" for any, and verb."""


@pytest.fixture(params=OVERLAYS)
def built(request: pytest.FixtureRequest) -> Overlay:
    return overlay(request.param)


def rules_of(role: Document) -> Rules:
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }


def selects(selector: Document, labels: Document) -> bool:
    assert set(selector) == {"matchLabels"}, "nothing here needs more"
    return bool(selector["matchLabels"].items() <= labels.items())


def pods_of(built: Overlay, selector: Document) -> list[Document]:
    return [template for template in built.templates if selects(selector, template["metadata"]["labels"])]


def ports_of(templates: list[Document]) -> dict[str, int]:
    ports = [port for template in templates for container in containers(template) for port in container.get("ports", ())]
    return {port["name"]: port["containerPort"] for port in ports}


def test_the_overlays_are_those_that_are_documented() -> None:
    assert OVERLAYS == ("external-database", "namespaced", "postgres", "sqlite")


# What is in them


def test_the_definition_is_the_generated_one(built: Overlay) -> None:
    assert built.of("CustomResourceDefinition") == [definition()]


def test_no_secret_is_in_the_repository(built: Overlay) -> None:
    assert built.of("Secret") == []


def test_every_object_is_in_the_operators_namespace_or_in_one_that_it_watches(built: Overlay) -> None:
    watched = built.environment.get("TUNING_OPERATOR_NAMESPACE", {"value": ""})["value"].split()
    for document in built.documents:
        namespace = document["metadata"].get("namespace")
        if document["kind"] in CLUSTER_SCOPED:
            assert namespace is None
        else:
            assert namespace in {NAMESPACE, *watched}


def test_the_namespace_enforces_restricted_pods(built: Overlay) -> None:
    (namespace,) = built.of("Namespace")
    assert namespace["metadata"]["name"] == NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_are_named_without_a_host_and_are_of_this_version(built: Overlay) -> None:
    images = {container["image"] for template in built.templates for container in containers(template)}
    assert images <= {OWN_IMAGE, "postgres:17"}
    assert OWN_IMAGE in images


# Pods


def _every_container(check: Callable[[Document], object]) -> Callable[[Document], bool]:
    return lambda template: all(check(container) for container in containers(template))


POD_RULES: Final[dict[str, Callable[[Document], Any]]] = {
    "is not root": lambda template: template["spec"]["securityContext"]["runAsNonRoot"],
    "has the runtime's seccomp profile": lambda template: (
        template["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    ),
    "is told of no Services": lambda template: template["spec"]["enableServiceLinks"] is False,
    "says whether it wants a token": lambda template: "automountServiceAccountToken" in template["spec"],
    "has a service account of its own": lambda template: template["spec"]["serviceAccountName"] != "default",
    "leaves priority and place to the cluster": lambda template: (
        not (
            {"priorityClassName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "hostNetwork"}
            & set(template["spec"])
        )
    ),
    "has no capabilities": _every_container(lambda c: c["securityContext"]["capabilities"] == {"drop": ["ALL"]}),
    "gains no privileges": _every_container(lambda c: c["securityContext"]["allowPrivilegeEscalation"] is False),
    "has a read-only root": _every_container(lambda c: c["securityContext"]["readOnlyRootFilesystem"]),
    "pulls no image that is there": _every_container(lambda c: c["imagePullPolicy"] == "IfNotPresent"),
    "says what memory it needs": _every_container(
        lambda c: "memory" in c["resources"]["requests"] and "memory" in c["resources"]["limits"]
    ),
    "may write to /tmp": _every_container(lambda c: "/tmp" in {mount["mountPath"] for mount in c["volumeMounts"]}),
}


@pytest.mark.parametrize("rule", POD_RULES)
def test_every_pod(built: Overlay, rule: str) -> None:
    for template in built.templates:
        assert POD_RULES[rule](template), template["metadata"]["labels"]


def test_a_token_goes_only_where_it_is_used(built: Overlay) -> None:
    holders = set()
    for template in built.templates:
        spec = template["spec"]
        if spec["automountServiceAccountToken"]:
            holders |= {container["name"] for container in containers(template)}
        projected = {volume["name"] for volume in spec["volumes"] if "projected" in volume}
        for container in containers(template):
            if projected & {mount["name"] for mount in container["volumeMounts"]}:
                holders.add(container["name"])
    assert holders - {"make-secret"} == {"operator"}
    assert all(account["automountServiceAccountToken"] is False for account in built.of("ServiceAccount"))


def test_only_one_operator_runs_and_it_is_gone_before_the_next_begins(built: Overlay) -> None:
    spec = built.one("Deployment", "tuning-operator")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
)
def test_the_operator_is_probed(built: Overlay, probe: str, path: str) -> None:
    assert built.operator[probe]["httpGet"] == {"path": path, "port": "monitoring"}


def test_no_disruption_budget_keeps_a_node_from_being_drained(built: Overlay) -> None:
    assert built.of("PodDisruptionBudget") == []


def test_nothing_is_applied_that_cannot_be_applied_again_with_another_image(built: Overlay) -> None:
    assert built.of("Job") == []


# What belongs together


def test_a_workload_owns_the_pods_that_it_makes(built: Overlay) -> None:
    for workload in built.workloads:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert selects(workload["spec"]["selector"], labels)
        assert len(pods_of(built, workload["spec"]["selector"])) == 1


def test_a_service_leads_to_one_workload_and_to_ports_that_it_has(built: Overlay) -> None:
    for service in built.of("Service"):
        templates = pods_of(built, {"matchLabels": service["spec"]["selector"]})
        assert len(templates) == 1
        for port in service["spec"]["ports"]:
            assert ports_of(templates)[port["targetPort"]] == port["port"]


def test_the_operators_ports_are_those_that_people_and_programs_are_told(built: Overlay) -> None:
    assert ports_of(built.templates) | {"postgresql": 5432} == {"gateway": 8080, "monitoring": 8081, "postgresql": 5432}


def test_trials_are_told_the_address_of_the_service(built: Overlay) -> None:
    service = built.one("Service", "tuning-operator")
    (port,) = [port["port"] for port in service["spec"]["ports"] if port["name"] == "gateway"]
    assert built.environment["TUNING_OPERATOR_GATEWAY_URL"]["value"] == f"http://tuning-operator.{NAMESPACE}.svc:{port}"


def test_every_mounted_volume_exists(built: Overlay) -> None:
    for workload in built.workloads:
        spec = workload["spec"]["template"]["spec"]
        claimed = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())}
        mounted = {mount["name"] for container in containers(workload["spec"]["template"]) for mount in container["volumeMounts"]}
        assert mounted == claimed | {volume["name"] for volume in spec["volumes"]}


def test_every_claim_of_a_volume_is_made(built: Overlay) -> None:
    named = {
        volume["persistentVolumeClaim"]["claimName"]
        for template in built.templates
        for volume in template["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert named == {claim["metadata"]["name"] for claim in built.of("PersistentVolumeClaim")}


# Network


def policies(built: Overlay) -> Iterator[tuple[Document, list[Document]]]:
    for policy in built.of("NetworkPolicy"):
        yield policy["spec"], pods_of(built, policy["spec"]["podSelector"])


def test_a_network_policy_is_about_pods_that_there_are(built: Overlay) -> None:
    assert all(len(templates) == 1 for _, templates in policies(built))


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_no_pod_is_open_by_default(built: Overlay, direction: str) -> None:
    for template in built.templates:
        assert any(direction in spec["policyTypes"] and template in templates for spec, templates in policies(built))


def test_a_way_in_leads_to_a_port_that_the_pod_has(built: Overlay) -> None:
    for spec, templates in policies(built):
        known = ports_of(templates)
        for rule in spec.get("ingress", ()):
            assert {port["port"] for port in rule["ports"]} <= {*known, *known.values()}


def test_a_way_between_our_pods_is_open_on_both_ends(built: Overlay) -> None:
    """What the operator may send to the database's Pod, that Pod takes."""
    opened: dict[str, list[tuple[Any, Any, Any]]] = {"ingress": [], "egress": []}
    for spec, _ in policies(built):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, ()):
                for peer in rule.get(peers, ()):
                    if set(peer) == {"podSelector"}:
                        ends = (spec["podSelector"], peer["podSelector"])
                        source, target = ends if direction == "egress" else ends[::-1]
                        opened[direction].append((source, target, rule["ports"]))
    assert opened["ingress"] == opened["egress"]
    assert bool(opened["egress"]) == bool(built.of("StatefulSet"))


def test_trials_of_every_namespace_reach_the_gateway_and_nothing_else(built: Overlay) -> None:
    spec = built.one("NetworkPolicy", "tuning-operator")["spec"]
    trials = {"namespaceSelector": {}, "podSelector": {"matchLabels": {MANAGED_BY_LABEL: MANAGER}}}
    assert [rule["ports"] for rule in spec["ingress"] if trials in rule["from"]] == [[{"port": "gateway", "protocol": "TCP"}]]


# Database


def test_the_operator_is_told_of_one_database(built: Overlay) -> None:
    variable = built.environment["TUNING_OPERATOR_DATABASE_URL"]
    if built.name == "sqlite":
        url = database_url(variable["value"])
        assert is_sqlite(url)
        (claimed,) = [volume for volume in built.templates[0]["spec"]["volumes"] if "persistentVolumeClaim" in volume]
        (mount,) = [mount for mount in built.operator["volumeMounts"] if mount["name"] == claimed["name"]]
        assert str(sqlite_file(url).parent) == mount["mountPath"]
    else:
        assert variable["valueFrom"] == {"secretKeyRef": {"name": "tuning-database", "key": URL_KEY}}


@pytest.mark.parametrize("name", ["postgres", "namespaced"])
def test_the_database_to_try_it_is_the_one_in_the_secret_that_its_pod_makes(name: str) -> None:
    built = overlay(name)
    spec = built.one("StatefulSet", "tuning-database")["spec"]["template"]["spec"]
    (maker,), (server,) = spec["initContainers"], spec["containers"]
    assert maker["command"] == ["tuning-operator", make_database_secret.name]
    arguments = make_database_secret.make_context(str(make_database_secret.name), list(maker["args"])).params
    service = built.one("Service", "tuning-database")["metadata"]
    assert arguments == {"secret": "tuning-database", "host": f"{service['name']}.{service['namespace']}.svc"}
    environment = {variable["name"]: variable for variable in server["env"]}
    password = {"secretKeyRef": {"name": arguments["secret"], "key": PASSWORD_KEY}}
    assert environment["POSTGRES_PASSWORD"]["valueFrom"] == password
    assert (environment["POSTGRES_USER"]["value"], environment["POSTGRES_DB"]["value"]) == (USER, DATABASE)


def test_no_environment_variable_repeats_a_password(built: Overlay) -> None:
    for template in built.templates:
        for container in containers(template):
            for variable in container["env"]:
                assert not re.search(r"://[^/]*:[^/]*@", variable.get("value", ""))
                assert "PASSWORD" not in variable["name"] or "valueFrom" in variable


# Permissions

OPERATOR_RULES: Final[dict[tuple[str, str], str]] = {
    ("tuningstudy.dev", "tuningstudies"): "get list watch delete",
    ("tuningstudy.dev", "tuningstudies/status"): "patch",
    ("tuningstudy.dev", "tuningstudies/finalizers"): "update",
    ("batch", "jobs"): "get list watch create patch delete",
    ("", "pods"): "list watch delete",
    ("", "events"): "list watch create",
}


def expand(table: dict[tuple[str, str], str], name: str = "*") -> Rules:
    return {(group, resource, name, verb) for (group, resource), verbs in table.items() for verb in verbs.split()}


def test_the_operator_may_do_this_in_the_namespaces_of_studies_and_nothing_else(built: Overlay) -> None:
    assert rules_of(built.one("ClusterRole", "tuning-operator")) == expand(OPERATOR_RULES)


def test_the_operator_may_do_this_in_the_cluster_and_nothing_else(built: Overlay) -> None:
    assert rules_of(built.one("ClusterRole", "tuning-operator-cluster")) == {
        ("authentication.k8s.io", "tokenreviews", "*", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "*", "create"),
        ("", "namespaces", "kube-system", "get"),
    }


def test_every_binding_gives_an_existing_role_to_an_existing_account(built: Overlay) -> None:
    accounts = {account["metadata"]["name"] for account in built.of("ServiceAccount")}
    roles = {(role["kind"], role["metadata"]["name"]) for role in (*built.of("Role"), *built.of("ClusterRole"))}
    for binding in (*built.of("RoleBinding"), *built.of("ClusterRoleBinding")):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        for subject in binding["subjects"]:
            assert subject["kind"] == "Group" or (subject["name"] in accounts and subject["namespace"] == NAMESPACE)


def bindings_of(built: Overlay, role: str) -> set[tuple[str, str | None]]:
    every = (*built.of("RoleBinding"), *built.of("ClusterRoleBinding"))
    return {(each["kind"], each["metadata"].get("namespace")) for each in every if each["roleRef"]["name"] == role}


def test_the_operator_has_its_permissions_where_it_looks(built: Overlay) -> None:
    if "TUNING_OPERATOR_NAMESPACE" in built.environment:
        listed = built.environment["TUNING_OPERATOR_NAMESPACE"]["value"].split()
        assert bindings_of(built, "tuning-operator") == {("RoleBinding", namespace) for namespace in listed}
    else:
        assert bindings_of(built, "tuning-operator") == {("ClusterRoleBinding", None)}
    assert bindings_of(built, "tuning-operator-cluster") == {("ClusterRoleBinding", None)}


def test_only_the_overlay_for_listed_namespaces_lists_namespaces() -> None:
    assert [name for name in OVERLAYS if "TUNING_OPERATOR_NAMESPACE" in overlay(name).environment] == ["namespaced"]


def test_the_databases_pod_may_create_secrets_and_nothing_else() -> None:
    assert rules_of(overlay("postgres").one("Role", "tuning-database")) == {("", "secrets", "*", "create")}


def test_people_reach_the_gateway_through_the_api_server_and_nothing_else(built: Overlay) -> None:
    service = built.one("Service", "tuning-operator")
    assert "gateway" in {port["name"] for port in service["spec"]["ports"]}
    role = built.one("Role", "tuning-gateway-reader")
    assert rules_of(role) == {("", "services/proxy", f"{service['metadata']['name']}:gateway", "get")}


@pytest.mark.parametrize(
    ("role", "aggregated", "table"),
    [
        pytest.param(
            "tuning-study-viewer",
            "view edit admin",
            {
                ("tuningstudy.dev", "tuningstudies"): "get list watch",
                ("tuningstudy.dev", "tuningstudies/status"): "get list watch",
            },
            id="whoever may view a namespace sees its studies",
        ),
        pytest.param(
            "tuning-study-editor",
            "edit admin",
            {("tuningstudy.dev", "tuningstudies"): "create update patch delete deletecollection"},
            id="whoever may create Jobs may create studies",
        ),
    ],
)
def test_roles_of_people(built: Overlay, role: str, aggregated: str, table: dict[tuple[str, str], str]) -> None:
    document = built.one("ClusterRole", role)
    assert rules_of(document) == expand(table)
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = {label for label in document["metadata"]["labels"] if label.startswith(prefix)}
    assert labels == {prefix + name for name in aggregated.split()}
