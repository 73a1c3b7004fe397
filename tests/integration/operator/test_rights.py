"""What the operator may do, and what may be done with the operator."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.operator_process import Account, OperatorProcess, grant_rights
from tests.integration.operator.team import Team, study

from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE


def test_an_operator_with_rights_in_one_namespace_alone_looks_after_its_studies(
    team: Team, start_operator: StartOperator
) -> None:
    grant_rights(team.space.server)
    account = Account(team.space.name, "operator")
    team.space.kubectl("create", "serviceaccount", account.name)
    holder = f"--serviceaccount={account.namespace}:{account.name}"
    team.space.kubectl("create", "rolebinding", "operator", "--clusterrole=tuning-operator", holder)
    team.space.kubectl("create", "clusterrolebinding", account.namespace, "--clusterrole=tuning-operator-cluster", holder)
    operator = start_operator(account=account)
    team.apply(study(baseline__repeats=1))
    status = team.work_until_finished()
    assert (status["phase"], status["trials"]["succeeded"]) == ("Succeeded", 2)
    team.wait_events("Accepted", "BaselineKnown", "Succeeded")
    assert operator.signs()["illness"] is None


def test_a_result_that_a_pod_posts_with_its_own_token_counts_though_it_leaves_none(
    team: Team, start_operator: StartOperator
) -> None:
    operator = start_operator()
    team.apply(study(budget__maxTrials=1))
    (pod,) = team.run((0, 0))
    token = token_of(team, pod)
    assert ask(operator, token, "v1/trial")["trial"] == 0
    assert ask(operator, token, "v1/result", {"val_accuracy": 0.75}) == {"committed": True}
    team.end(pod)
    team.wait_condition("Finished", "True", "MaxTrialsReached")
    assert team.status()["best"]["value"] == 0.75


def token_of(team: Team, pod: str) -> str:
    """As the kubelet projects it into the Pod."""
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod}", f"--audience={TOKEN_AUDIENCE}")
    return team.space.kubectl("create", "token", "default", *bound).strip()


def ask(operator: OperatorProcess, token: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{operator.gateway}/{path}", data=data, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.loads(answer.read())
