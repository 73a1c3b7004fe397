"""What a command asks a cluster, and what it makes of the answers."""

from __future__ import annotations

import pytest
from tests.unit.api.manifests import good
from tests.unit.people.scripted_cluster import GATEWAY, OBJECT, PROGRESS, ScriptedCluster, fine, of_api_server, of_gateway
from tests.unit.people.studies import finished
from tests.unit.people.test_wire import written

from tuning_operator.cli.cluster import Answer, ClusterError
from tuning_operator.cli.remote import GatewayError, NoSuchStudyError, RemoteStudy
from tuning_operator.gateway.people import TOKEN_HEADER


def remote(answer: Answer, *, path: str = GATEWAY, token: str | None = None, given: str | None = "kubeconfig") -> RemoteStudy:
    cluster = ScriptedCluster(answers={path: [answer]}, given=given)
    return RemoteStudy(cluster=cluster, namespace="research", name="digits", token=token)


def asked(study: RemoteStudy) -> ScriptedCluster:
    assert isinstance(study.cluster, ScriptedCluster)
    return study.cluster


def test_a_study_is_read_through_the_proxy_of_the_api_server() -> None:
    facts = finished().facts
    study = remote(fine(written(facts)))
    assert len(study.document(uid="6f1f").trials) == len(facts.trials)
    (request,) = asked(study).asked
    assert (request.path, dict(request.query)) == (GATEWAY, {"uid": "6f1f"})


def test_progress_is_asked_for_from_a_version_on() -> None:
    study = remote(fine(written(finished().facts)), path=PROGRESS)
    study.progress(uid="6f1f", after="a-3", wait=15)
    (request,) = asked(study).asked
    assert dict(request.query) == {"uid": "6f1f", "after": "a-3", "wait": "15"}


@pytest.mark.parametrize(
    ("token", "given", "sent"),
    [
        pytest.param(None, "kubeconfig", "kubeconfig", id="the kubeconfig's"),
        pytest.param("mine", "kubeconfig", "mine", id="the one that is passed"),
        pytest.param("mine\n", None, "mine", id="with the line's end of a command's output"),
        pytest.param("", "kubeconfig", "kubeconfig", id="an empty variable is none"),
    ],
)
def test_the_token_for_the_gateway(token: str | None, given: str | None, sent: str) -> None:
    study = remote(fine(written(finished().facts)), token=token, given=given)
    study.document()
    assert dict(asked(study).asked[0].headers) == {TOKEN_HEADER: sent}


def test_without_a_token_the_command_that_makes_one_is_told_and_nothing_is_asked() -> None:
    study = remote(fine({}), given=None)
    with pytest.raises(GatewayError) as refused:
        study.document()
    assert 'TUNING_TOKEN="$(kubectl create token SERVICEACCOUNT --namespace=research --audience=gateway.tuningstudy.dev)"' in str(
        refused.value
    )
    assert asked(study).asked == []


def test_what_is_no_token_is_not_sent() -> None:
    study = remote(fine({}), token="two\nlines")
    with pytest.raises(ClusterError, match="holds something else than a token; give the token alone, in one line"):
        study.document()
    assert asked(study).asked == []


@pytest.mark.parametrize(
    ("answer", "kind", "passing", "sentence"),
    [
        pytest.param(
            of_api_server(401, "Unauthorized"), ClusterError, None, "(Unauthorized); log in again as for kubectl", id="no login"
        ),
        pytest.param(
            of_api_server(403, 'User "alice" cannot get resource "services/proxy"'),
            GatewayError,
            False,
            "kubectl create role tuning-gateway --namespace=tuning-system --verb=get --resource=services/proxy "
            "--resource-name=tuning-operator:gateway",
            id="no right to the proxy",
        ),
        pytest.param(
            of_api_server(404, 'services "tuning-operator" not found'),
            GatewayError,
            False,
            "the operator is not installed in namespace tuning-system",
            id="no operator",
        ),
        pytest.param(
            of_api_server(503, "no endpoints available"),
            GatewayError,
            True,
            "the operator does not answer (no endpoints available); kubectl get pods --namespace=tuning-system says why",
            id="an operator that is not ready",
        ),
        pytest.param(
            Answer(status=502, headers={}, body=b"<html>bad gateway"),
            GatewayError,
            True,
            "502 <html>bad gateway",
            id="something between that fails",
        ),
        pytest.param(
            Answer(status=302, headers={"Location": "https://example.org"}, body=b""),
            GatewayError,
            False,
            "the operator cannot answer now: 302",
            id="a redirection",
        ),
        pytest.param(
            of_gateway(401, "the token is not valid, or no longer; send a new one"),
            GatewayError,
            False,
            "the operator does not accept the token: the token is not valid, or no longer; send a new one",
            id="a token that the gateway refuses",
        ),
        pytest.param(
            of_gateway(404, "there is no study digits"), NoSuchStudyError, None, "there is no study digits", id="no such study"
        ),
        pytest.param(
            of_gateway(404, "there is nothing at /v1/studies", version=None),
            GatewayError,
            False,
            "it is older than this command",
            id="an older operator",
        ),
        pytest.param(
            of_gateway(503, "the database does not answer"),
            GatewayError,
            True,
            "the operator cannot answer now: the database does not answer",
            id="an outage",
        ),
        pytest.param(
            fine({"study": {}}),
            GatewayError,
            False,
            "the operator's version 1.2.3 does not go with this command's",
            id="an operator of another kind",
        ),
        pytest.param(fine(b"<html>welcome"), GatewayError, False, "does not go with this command's", id="no JSON"),
    ],
)
def test_a_refusal_is_one_sentence_with_the_remedy(
    answer: Answer, kind: type[ClusterError], *, passing: bool | None, sentence: str
) -> None:
    with pytest.raises(ClusterError) as refused:
        remote(answer).document()
    assert type(refused.value) is kind
    assert sentence in str(refused.value)
    assert getattr(refused.value, "passing", None) is passing


def test_the_object_is_read_with_its_status() -> None:
    document = good()
    document["metadata"] |= {"namespace": "research", "uid": "u", "resourceVersion": "7", "managedFields": []}
    study = remote(fine(document | {"status": {"phase": "Running"}}), path=OBJECT).object()
    assert (study.metadata.uid, study.status and study.status.phase) == ("u", "Running")


def test_an_object_that_nobody_has_looked_at_has_an_empty_status() -> None:
    status = remote(fine(good()), path=OBJECT).object().status
    assert status is not None
    assert (status.phase, status.conditions) == ("Pending", ())


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        pytest.param(of_api_server(404, "not found"), NoSuchStudyError, "--namespace=research lists them", id="none"),
        pytest.param(of_api_server(403, "User cannot get"), ClusterError, "cannot be read: User cannot get", id="not permitted"),
        pytest.param(fine(good() | {"status": {"mood": "good"}}), GatewayError, "mood: Extra inputs", id="a newer status"),
        pytest.param(fine(good() | {"spec": {}}), GatewayError, "does not go with this command's", id="another spec"),
    ],
)
def test_an_object_that_cannot_be_read_is_told(answer: Answer, kind: type[ClusterError], sentence: str) -> None:
    with pytest.raises(ClusterError, match=sentence) as refused:
        remote(answer, path=OBJECT).object()
    assert type(refused.value) is kind
