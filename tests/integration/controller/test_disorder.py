"""Calls to a cluster are under way at once: whatever their order, and however many are lost, no trial is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.controller.scripted_cluster import IDENTITY, ScriptedApi, ScriptedCluster, operator, run, stored

from tuning_operator.runtime.kubernetes.client import ApiUnavailableError, ConflictError, Document
from tuning_operator.store.database import Database
from tuning_operator.store.records import EventKind

TRIALS: Final = 12
AT_ONCE: Final = 5
PATIENCE: Final = 4 * 3600.0  # of a time that passes at once


class DisorderlyApi(ScriptedApi):
    """Answers requests about Jobs after any time, in any order; some are not done, of some the answer is lost."""

    def __init__(self, chance: random.Random, *, losses: float) -> None:
        super().__init__()
        self.live: set[str] = set()  # paths of Jobs that have not ended
        self.most_live = 0
        self.created: Counter[str] = Counter()
        self.beside_another = False  # two attempts of one trial lived at once
        self._chance = chance
        self._losses = losses

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        """As the real one, on a bad day."""
        if "/jobs" not in path or method == "GET" or ("dryRun", "All") in query:
            return await super().request(method, path, query=query, body=body, content_type=content_type)
        await self._take_time()
        self._lose("it was not done")
        if method == "POST":
            assert body is not None
            self._create(f"{path}/{body['metadata']['name']}")
        answer = await super().request(method, path, query=query, body=body, content_type=content_type)
        await self._take_time()
        self._lose("it was done")
        return answer

    async def _take_time(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, 2))

    def _lose(self, what: str) -> None:
        if self._chance.random() < self._losses:
            raise ApiUnavailableError(f"the connection was reset: {what}")

    def _create(self, path: str) -> None:
        if path in self.objects or path in self.live:
            raise ConflictError("it exists", code=409, reason="AlreadyExists")
        trial = path.rpartition("-")[0]
        self.beside_another |= any(other.rpartition("-")[0] == trial for other in self.live)
        self.created[path] += 1
        self.live.add(path)
        self.most_live = max(self.most_live, len(self.live))


async def end_jobs(cluster: ScriptedCluster, api: DisorderlyApi, chance: random.Random) -> None:
    """For ever: the container of each Job fails after some time."""
    while True:
        await asyncio.sleep(chance.uniform(0, 1))
        there = sorted(path for path in api.live if path in api.objects)
        if there and chance.random() < 0.7:
            path = chance.choice(there)
            api.live.discard(path)
            cluster.fail(api.objects[path])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), losses=st.sampled_from([0.0, 0.05, 0.3]))
def test_whatever_the_order_of_answers_every_trial_is_told_once_and_none_runs_twice(seed: int, losses: float) -> None:
    with TemporaryDirectory() as folder:
        run_disorderly(Path(folder), seed, losses)


def test_as_many_run_at_once_as_may(tmp_path: Path) -> None:
    assert run_disorderly(tmp_path, 1, losses=0.0).most_live == AT_ONCE


def run_disorderly(folder: Path, seed: int, losses: float) -> DisorderlyApi:
    chance = random.Random(seed)
    api = DisorderlyApi(chance, losses=losses)

    async def test() -> None:
        async with operator(folder, api=api) as cluster:
            ending = asyncio.create_task(end_jobs(cluster, api, chance))
            cluster.apply(
                baseline={"repeats": 0},
                budget={"maxTrials": TRIALS, "parallelism": AT_ONCE},
                retry={"failures": 1},
                search={"sampler": "random"},
            )
            async with asyncio.timeout(PATIENCE):
                await cluster_is_done(cluster)
            ending.cancel()

    run(test)
    check(folder, api)
    return api


async def cluster_is_done(cluster: ScriptedCluster) -> None:
    """Wait until the study says that it has ended."""
    for _ in count():
        await asyncio.sleep(10)
        if "status" in cluster.api.objects[cluster.path] and cluster.condition("Finished")[0] == "True":
            return


def check(folder: Path, api: DisorderlyApi) -> None:
    """What must hold whatever happened."""
    _, trials = stored(folder)
    # None of them ever succeeds, and each has two attempts.
    assert [(trial.number, trial.finished, len(trial.attempts)) for trial in trials] == [(n, True, 2) for n in range(TRIALS)]
    assert set(api.created.values()) == {1}, "no Job is made twice"
    assert len(api.created) == 2 * TRIALS
    assert not api.beside_another, "no two attempts of a trial at once"
    assert api.most_live <= AT_ONCE, "never more at once than parallelism"
    database = Database.connect(f"sqlite:///{folder / 'studies.db'}")
    try:
        log = database.events(IDENTITY)
    finally:
        database.close()
    assert [event.trial for event in log if event.kind is EventKind.ASK] == list(range(TRIALS)), "asks stand in their order"
    assert sorted(event.trial for event in log if event.kind is EventKind.TELL) == list(range(TRIALS)), "each is told once"
