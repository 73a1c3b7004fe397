"""A study through the service proxy of a real API server: who sees it, and what the others are told."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.cluster.control_plane import free_ports
from tests.integration.people.conftest import NAME, Operator, Person, Request
from tests.unit.api.manifests import good
from tests.unit.people.studies import OpenedStudy

from tuning_operator.cli.cluster import Cluster
from tuning_operator.engine.facts import Outcome
from tuning_operator.gateway import Gateway
from tuning_operator.gateway.people import TOKEN_HEADER
from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE


@pytest.fixture
def reader(alice: Person) -> Person:
    """Alice, who may get the study and reach the operator."""
    alice.may_get_the_study()
    alice.may_reach_the_operator()
    return alice


# The way


async def ask(person: Person, operator: Operator, path: str) -> int:
    cluster = Cluster.connect(kubeconfig=person.kubeconfig, context=None)
    proxied = f"/api/v1/namespaces/{operator.namespace}/services/tuning-operator:gateway/proxy{path}"
    return (await asyncio.to_thread(cluster.get, proxied, headers={TOKEN_HEADER: "for-the-gateway"})).status


async def test_the_proxy_keeps_authorization_and_passes_our_header(reached: Operator, alice: Person, seen: list[Request]) -> None:
    alice.may_reach_the_operator()
    assert await ask(alice, reached, "/echo") == 200
    (request,) = seen
    assert request.headers[TOKEN_HEADER] == "for-the-gateway"
    assert "Authorization" not in request.headers


async def test_no_credential_follows_a_redirection(reached: Operator, alice: Person, seen: list[Request]) -> None:
    alice.may_reach_the_operator()
    assert await ask(alice, reached, "/away") == 302
    assert seen == []


# Who may


@pytest.mark.usefixtures("reached")
async def test_who_may_get_a_study_sees_it(reader: Person) -> None:
    code, out, _ = await reader.tuning("watch", NAME, "--once")
    assert code == 0
    assert f"study {reader.namespace}/{NAME}" in out
    assert "0/4 told, 1 running" in out


@pytest.mark.usefixtures("reached")
async def test_a_study_is_watched_to_its_end(reader: Person, study: OpenedStudy) -> None:
    looked = asyncio.Event()
    study.while_looking = looked.set
    watching = asyncio.create_task(reader.tuning("watch", NAME))
    await looked.wait()
    study.world.run_to_end(lambda trial: (Outcome.SUCCEEDED, 0.5 + trial.number / 10))
    code, out, _ = await watching
    assert code == 0
    told = [line.split()[:2] for line in out.splitlines() if line.lstrip().startswith(("baseline ", "trial "))]
    assert told == [["baseline", "0"], *(["trial", str(number)] for number in range(1, 5))]
    assert "Succeeded: 4 search trials; best val_accuracy 0.9 in trial 4" in out


@pytest.mark.usefixtures("reached")
async def test_a_report_is_drawn_on_the_user_s_machine(reader: Person, study: OpenedStudy) -> None:
    study.world.run_to_end(lambda trial: (Outcome.SUCCEEDED, 0.5 + trial.number / 10))
    code, out, err = await reader.tuning("report", NAME)
    assert code == 0, err
    folder = reader.working_directory / "reports" / reader.namespace / NAME
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "result.json", "study.json"]
    assert json.loads((folder / "result.json").read_text())["best"]["trial"] == 4
    assert json.loads((folder / "study.json").read_text())["metadata"]["name"] == NAME
    assert "0.4000 above the defaults" in (folder / "report.html").read_text()
    assert "Everything is in reports/" in out


@pytest.mark.usefixtures("reached")
async def test_a_report_does_not_mix_with_a_study_of_this_machine(reader: Person) -> None:
    (reader.working_directory / "mine").mkdir()
    (reader.working_directory / "mine" / "study.db").touch()
    code, _, err = await reader.tuning("report", NAME, "--output=mine")
    assert (code, err) == (2, "mine holds a study that `tuning run` ran on this machine; choose another --output")


@pytest.mark.usefixtures("reached")
async def test_a_certificate_reaches_the_operator_and_a_token_of_its_audience_the_study(alice: Person) -> None:
    alice.may_get_the_study()
    admin = alice.server.plane.admin
    alice.log_in({"client-certificate": str(admin.certificate), "client-key": str(admin.key)})
    code, _, err = await alice.tuning("report", NAME)
    assert code == 2
    assert f"kubectl create token SERVICEACCOUNT --namespace={alice.namespace} --audience={TOKEN_AUDIENCE}" in err
    code, out, err = await alice.tuning("watch", NAME, "--once", TUNING_TOKEN=alice.token(audience=TOKEN_AUDIENCE))
    assert (code, err) == (0, "")
    assert "0/4 told, 1 running" in out


@pytest.mark.usefixtures("reached")
async def test_the_token_of_a_trial_reads_no_study(reader: Person) -> None:
    spec = {"serviceAccountName": reader.name, "containers": [{"name": "trainer", "image": "tuning-trainer"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": reader.namespace}, "spec": spec}
    reader.server.kubectl("create", "--filename=-", stdin=json.dumps(pod))
    token = reader.token(audience=TOKEN_AUDIENCE, pod="one")
    code, _, err = await reader.tuning("report", NAME, TUNING_TOKEN=token)
    assert code == 2
    assert "the operator does not accept the token" in err


# Who may not


@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize("name", [NAME, "wine"])
async def test_an_unknown_study_and_a_forbidden_one_are_told_alike(alice: Person, name: str) -> None:
    alice.may_reach_the_operator()
    code, _, err = await alice.tuning("report", name)
    sentence = f"there is no study {name} in namespace {alice.namespace} that you may get; check both with kubectl"
    assert (code, err) == (2, sentence)


@pytest.mark.usefixtures("reached")
async def test_who_may_not_reach_the_operator_sees_the_object_and_learns_which_role_to_ask_for(alice: Person) -> None:
    alice.may_get_the_study()
    alice.server.create_study(alice.namespace, good())
    code, out, _ = await alice.tuning("watch", NAME, "--once")
    role = (
        f"kubectl create role tuning-gateway --namespace={alice.operator_namespace} --verb=get --resource=services/proxy "
        "--resource-name=tuning-operator:gateway"
    )
    assert code == 0
    assert role in out
    assert "Pending" in out
    code, _, err = await alice.tuning("report", NAME)
    assert code == 2
    assert role in err


@pytest.mark.usefixtures("reached")
async def test_who_may_nothing_learns_both_reasons(alice: Person) -> None:
    code, _, err = await alice.tuning("watch", NAME)
    assert code == 2
    assert "services/proxy" in err
    assert f'cannot get resource "tuningstudies" in API group "tuningstudy.dev" in the namespace "{alice.namespace}"' in err


@pytest.mark.usefixtures("reached")
async def test_a_token_that_nobody_issued_is_told(reader: Person) -> None:
    code, _, err = await reader.tuning("report", NAME, TUNING_TOKEN="a.b.c")
    assert code == 2
    assert err == "the operator does not accept the token: the token is not valid, or no longer; send a new one"


# What is away


async def test_an_operator_that_is_not_installed_is_told(alice: Person) -> None:
    alice.may_reach_the_operator()
    code, _, err = await alice.tuning("report", NAME)
    assert code == 2
    assert err.startswith(f"the operator is not installed in namespace {alice.operator_namespace} ")
    assert err.endswith("pass its --operator-namespace")


async def test_an_operator_that_is_not_ready_is_told(operator: Operator, alice: Person) -> None:
    alice.may_reach_the_operator()
    operator.wait_for_pods()
    code, _, err = await alice.tuning("report", NAME)
    assert code == 2
    assert err.startswith("the operator does not answer (no endpoints available for service")
    assert err.endswith(f"kubectl get pods --namespace={operator.namespace} says why")


async def test_an_operator_that_has_just_gone_is_told(reached: Operator, alice: Person, gateway: Gateway) -> None:
    alice.may_reach_the_operator()
    await gateway.close()
    code, _, err = await alice.tuning("report", NAME)
    assert code == 2
    assert err.startswith("the operator does not answer (error trying to reach service")


async def test_an_api_server_that_is_away_is_told(alice: Person) -> None:
    (port,) = free_ports(1)
    document = json.loads(alice.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    alice.kubeconfig.write_text(json.dumps(document))
    code, _, err = await alice.tuning("watch", NAME)
    assert code == 2
    assert err.startswith(f"the API server at https://127.0.0.1:{port} does not answer")
    assert "Traceback" not in err


async def test_credentials_that_are_no_longer_valid_are_told(alice: Person) -> None:
    alice.log_in({"token": "a.b.c"})
    code, _, err = await alice.tuning("watch", NAME)
    assert (code, err) == (
        2,
        "the API server does not accept the kubeconfig's credentials (Unauthorized); log in again as for kubectl",
    )
