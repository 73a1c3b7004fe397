"""Trials that a study has behind it, written as the operator writes them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from bench.orchestration.manifest import accuracy
from tests.support.kubernetes import ApiServer
from tests.support.stored_studies import complete, fresh_trial, succeeded

from tuning_operator.controller.cluster_study import spec_of
from tuning_operator.search.auto import choose
from tuning_operator.search.problem import problem_of
from tuning_operator.search.random_search import draws
from tuning_operator.store import Database, StudyIdentity, prepare


def fill(url: str, server: ApiServer, raw: dict[str, Any], count: int) -> None:
    """Write finished trials of a study that exists in the cluster and not yet in the database."""
    prepare(url)
    database = Database.connect(url)
    about, spec, now = raw["metadata"], spec_of(raw), time.time()
    cluster = server.request("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    identity = StudyIdentity(cluster=cluster, uid=about["uid"], namespace=about["namespace"], name=about["name"])
    ledger = database.adopt(identity, spec_json=spec.model_dump_json(), direction=spec.objective.direction, now=now)
    ledger.save_choice(choose(spec))
    problem = problem_of(ledger.study_name, spec, "random")
    for number in range(count):
        trial = fresh_trial(number, parameters=next(draws(problem, number)), at=now)
        value = accuracy(trial.parameters)
        ended = replace(succeeded(value, at=now), metrics={spec.objective.metric: value})
        ledger.claim(trial, spec.parameters)
        ledger.conclude(number, 0, ended, last_step=-1, gpu_seconds=0.0, tell=complete(value))
    database.close()
