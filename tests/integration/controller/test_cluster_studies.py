"""Studies of a cluster, where it is in the way: nothing waits for ever, and nothing is tried without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.integration.controller.scripted_cluster import ScriptedCluster, operator, owners, run, stored
from tests.unit.controller.studies import SPEC

from tuning_operator.engine.facts import Trial
from tuning_operator.runtime.kubernetes.client import ApiUnavailableError, ConflictError, Document, RequestRefusedError
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.searcher import SearchFailed


def forbidden(_body: Mapping[str, Any]) -> Document:
    raise RequestRefusedError('admission webhook "policy.test" denied the request: no', code=403, reason="Forbidden")


def test_a_study_that_the_cluster_refuses_ends_when_it_is_deleted(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.api.answers["POST", "/jobs"] = forbidden
            cluster.apply()
            await asyncio.sleep(5)
            assert cluster.condition("Stalled") == ("True", "AdmissionDenied")
            cluster.delete()
            await asyncio.sleep(60)
        verdict, _ = stored(tmp_path)
        assert verdict is not None
        assert verdict.reason == "Deleted"

    run(test)


def test_a_study_that_the_cluster_refuses_ends_at_its_longest_duration(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.api.answers["POST", "/jobs"] = forbidden
            cluster.apply(budget={"maxTrials": 8, "parallelism": 4, "maxDuration": "1h"})
            await asyncio.sleep(3700)
            assert cluster.condition("Finished") == ("True", "NoTrialSucceeded")

    run(test)


class Mute:
    """A searcher that never answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, *_question: object) -> NoReturn:
        self.asked += 1
        raise SearchFailed("no answer")

    async def close(self) -> None:
        """Nothing to close."""


def test_a_search_that_gave_no_answer_is_not_waited_for_by_a_suspended_study(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path, searcher=Mute()) as cluster:
            cluster.apply(baseline={"repeats": 0})
            await asyncio.sleep(5)
            cluster.apply(suspend=True)
            await asyncio.sleep(3600)  # which passes only if the operator rests
            assert cluster.condition("Suspended") == ("True", "SuspendedByUser")

    run(test)


def test_a_search_that_gave_no_answer_is_asked_again_and_again(tmp_path: Path) -> None:
    async def test() -> None:
        searcher = Mute()
        async with operator(tmp_path, searcher=searcher) as cluster:
            cluster.apply(baseline={"repeats": 0})
            await asyncio.sleep(40)  # asked at once, and after 1, 2, 4, 8 and 16 seconds
            asked = searcher.asked
            await asyncio.sleep(300)
            assert (asked, searcher.asked) == (6, 16)
            assert cluster.condition("Reconciling") == ("True", "SearchUnavailable")
            assert cluster.condition("Stalled") == ("False", "NotStalled")

    run(test)


def test_an_invalid_study_that_is_edited_while_that_is_said_is_told_at_once(tmp_path: Path) -> None:
    def edited(_body: Mapping[str, Any]) -> Document:
        # The answer to the refused write brings the new version before the watch does, which then has no news.
        cluster_of[0].api.answers.clear()
        cluster_of[0].edit_unwatched(parameters=SPEC["parameters"] * 3)
        raise ConflictError("the object has been modified", code=409, reason="Conflict")

    cluster_of: list[ScriptedCluster] = []

    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster_of.append(cluster)
            cluster.api.answers["PATCH", "/status"] = edited
            cluster.apply(parameters=SPEC["parameters"] * 2)
            await asyncio.sleep(5)
            assert cluster.condition("Stalled") == ("True", "InvalidSpec")
            assert cluster.status().observed_generation == 2

    run(test)


def test_an_ended_study_is_not_read_again_at_each_list_until_its_time_to_live_is_over(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.apply(
                baseline={"repeats": 0},
                budget={"maxTrials": 1},
                retry={"failures": 0},
                search={"sampler": "random"},
                ttlSecondsAfterFinished=3600,
            )
            await asyncio.sleep(5)
            (job,) = cluster.jobs()
            cluster.fail(job)
            await asyncio.sleep(5)
            assert cluster.condition("Failed") == ("True", "NoTrialSucceeded")
            for _ in range(11):
                await asyncio.sleep(300)
                await cluster.studies.relist()
            assert cluster.path in cluster.api.objects
            assert owners(tmp_path) == 1
            await asyncio.sleep(300)
            assert cluster.path not in cluster.api.objects

    run(test)


class Slow(InlineSearcher):
    """Somebody does something to the study while it answers for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        self.asked += 1
        if self.asked == 1:
            self.meanwhile()
        return await super().ask(problem, trials, number)


@pytest.mark.parametrize("end", [pytest.param(False, id="suspended"), pytest.param(True, id="deleted")])
def test_a_study_that_is_no_longer_wanted_to_go_on_asks_for_no_further_trial(tmp_path: Path, *, end: bool) -> None:
    async def test() -> None:
        searcher = Slow()
        async with operator(tmp_path, searcher=searcher) as cluster:
            searcher.meanwhile = cluster.delete if end else partial(cluster.apply, suspend=True)
            cluster.apply(baseline={"repeats": 0}, search={"sampler": "random"})
            await asyncio.sleep(5)
            assert searcher.asked == 1
        _, trials = stored(tmp_path)
        assert len(trials) == 1
        assert trials[0].last.started_at is None, "it was never started"

    run(test)


def test_a_job_that_cannot_be_let_go_of_keeps_no_further_trial_from_running(tmp_path: Path) -> None:
    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster.api.answers["PATCH", "-0-0"] = forbidden
            cluster.apply(baseline={"repeats": 0}, budget={"maxTrials": 2}, retry={"failures": 0}, search={"sampler": "random"})
            await asyncio.sleep(5)
            for number in range(2):
                cluster.fail(cluster.jobs()[number])
                await asyncio.sleep(60)
            assert cluster.condition("Failed") == ("True", "NoTrialSucceeded")

    run(test)


def test_an_event_tells_of_a_status_whose_write_was_done_and_never_answered(tmp_path: Path) -> None:
    def done_and_lost(body: Mapping[str, Any]) -> Document:
        cluster = cluster_of[0]
        cluster.api.answers.clear()
        known = cluster.api.objects[cluster.path]
        cluster.watched(cluster.api.put(cluster.path, known | {"status": body["status"]}))
        raise ApiUnavailableError("the connection was reset")

    cluster_of: list[ScriptedCluster] = []

    async def test() -> None:
        async with operator(tmp_path) as cluster:
            cluster_of.append(cluster)
            cluster.apply(baseline={"repeats": 0}, search={"sampler": "random"})
            await asyncio.sleep(5)
            cluster.api.answers["PATCH", "/status"] = done_and_lost
            cluster.apply(suspend=True)
            await asyncio.sleep(60)
            assert cluster.condition("Suspended") == ("True", "SuspendedByUser")
            events = [event["reason"] for event in cluster.api.objects.values() if event.get("kind") == "Event"]
            assert sorted(events) == ["Accepted", "Suspended"]

    run(test)
