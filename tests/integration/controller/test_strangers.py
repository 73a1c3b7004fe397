"""Jobs of attempts that the database does not know: an older one was restored, or somebody forged them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.controller.scripted_cluster import EPOCH, IDENTITY, ScriptedCluster, operator, run, stored
from tests.support.stored_studies import fresh_trial
from tests.unit.controller.studies import study

from tuning_operator.controller.cluster_study import spec_of
from tuning_operator.engine.facts import TrialState
from tuning_operator.runtime.kubernetes.client import Document
from tuning_operator.runtime.kubernetes.names import TRIAL_LABEL
from tuning_operator.store.database import Database

ONE: Final[dict[str, Any]] = {
    "baseline": {"repeats": 0},
    "budget": {"maxTrials": 1, "parallelism": 1},
    "retry": {"failures": 0},
    "search": {"sampler": "random"},
}


def another(job: Document, number: int) -> Document:
    """A Job like that one, of another trial."""
    metadata = job["metadata"]
    names = {"name": f"another-{number}", "uid": f"another-{number}", "labels": metadata["labels"] | {TRIAL_LABEL: str(number)}}
    return job | {"metadata": metadata | names}


def names_of(cluster: ScriptedCluster) -> set[str]:
    return {job["metadata"]["name"] for job in cluster.jobs()}


def test_a_trial_is_not_judged_by_a_job_of_its_number_that_an_older_database_does_not_know(tmp_path: Path) -> None:
    newer, restored = tmp_path / "newer", tmp_path / "restored"
    newer.mkdir()
    restored.mkdir()

    async def test() -> None:
        async with operator(newer) as cluster:
            cluster.apply(**ONE)
            await asyncio.sleep(5)
            (before,) = cluster.jobs()
        cluster.fail(before)
        async with operator(restored, api=cluster.api) as cluster:
            await asyncio.sleep(60)
            (after,) = cluster.jobs()
            assert after["metadata"]["name"] == before["metadata"]["name"]
            assert after["metadata"]["uid"] != before["metadata"]["uid"]
        _, (trial,) = stored(restored)
        assert (trial.state, len(trial.attempts)) == (TrialState.RUNNING, 1)

    run(test)


def test_a_job_that_was_never_claimed_is_deleted_and_named_in_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.apply(**ONE)
            await asyncio.sleep(5)
            (job,) = cluster.jobs()
            cluster.put_job(another(job, 7))
            await asyncio.sleep(600)
            assert names_of(cluster) == {job["metadata"]["name"]}

    with caplog.at_level(logging.WARNING):
        run(test)
    assert [record.getMessage() for record in caplog.records] == [
        "research/digits: Job another-7 (trial 7, attempt 0) is not in the database, and deleted"
    ]


def test_a_study_is_closed_although_a_job_came_that_was_never_claimed(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.apply(**ONE)
            await asyncio.sleep(5)
            (job,) = cluster.jobs()
            cluster.put_job(another(job, 7))
            cluster.fail(job)
            await asyncio.sleep(60)
            assert cluster.condition("Failed") == ("True", "NoTrialSucceeded")
            assert cluster.studies.open_count == 0

    run(test)


def test_a_job_that_another_operator_has_claimed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.apply(**ONE)
            await asyncio.sleep(5)
            (job,) = cluster.jobs()
            claim_elsewhere(tmp_path, 1)
            cluster.put_job(another(job, 1))
            await asyncio.sleep(60)
            assert names_of(cluster) == {job["metadata"]["name"], "another-1"}

    run(test)


def claim_elsewhere(folder: Path, number: int) -> None:
    """Take the study over, and start a further trial of it."""
    spec = spec_of(study(spec=study()["spec"] | ONE))
    database = Database.connect(f"sqlite:///{folder / 'studies.db'}")
    try:
        ledger = database.adopt(IDENTITY, spec_json=spec.model_dump_json(), direction=spec.objective.direction, now=EPOCH)
        ledger.claim(fresh_trial(number, parameters={"lr": 0.01}), spec.parameters)
        ledger.mark_started(number, 0, EPOCH)
    finally:
        database.close()
