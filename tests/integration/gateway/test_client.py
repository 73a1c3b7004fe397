"""The real client against the real gateway."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.integration.gateway.memory_desk import PATIENCE, MemoryDesk
from tests.support.studies import study_spec

from tuning_client import Pruned, Trial
from tuning_client._courier import BATCH, Pace
from tuning_client._environment import read
from tuning_operator.api.contract import Places, Result, environment
from tuning_operator.engine.facts import StopReason
from tuning_operator.gateway import AttemptRef, Gateway, LocalTokens, Point, Superseded, Unavailable
from tuning_operator.gateway.server import REPORTS_LIMIT
from tuning_operator.gateway.wire import LARGEST_STEP, MAX_POINTS

QUICK = Pace(
    between_requests=0.0,
    first_retry=0.01,
    longest_retry=0.01,
    last_retries=0.01,
    request=PATIENCE,
    result=PATIENCE,
    farewell=PATIENCE,
)


@pytest.fixture
def result_file(tmp_path: Path) -> Path:
    return tmp_path / "result.json"


@pytest.fixture
async def trial(
    *, gateway: Gateway, tokens: LocalTokens, ref: AttemptRef, tmp_path: Path, result_file: Path
) -> AsyncIterator[Trial]:
    token_file = tmp_path / "token"
    token_file.write_text(tokens.issue(ref))
    places = Places(result_file=str(result_file), endpoint=gateway.endpoint, token_file=str(token_file))
    told = environment(
        study="digits",
        trial=ref.trial,
        role="search",
        parameters={},
        seed=0,
        spec=study_spec(),
    )
    trial = await asyncio.to_thread(Trial, read(told | places.environment()), QUICK)
    yield trial
    await asyncio.to_thread(trial.close)


async def hears(trial: Trial, condition: Callable[[], bool]) -> None:
    """Wait until what the trial heard of the gateway makes the condition true."""
    courier = trial._courier
    assert courier is not None

    def wait() -> bool:
        with courier.changed:
            return courier.changed.wait_for(condition, PATIENCE)

    assert await asyncio.to_thread(wait)


async def test_a_whole_trial(trial: Trial, desk: MemoryDesk, ref: AttemptRef, result_file: Path) -> None:
    for step in range(30):
        trial.report(step, val_accuracy=step / 30, train_loss=1.0)
    await asyncio.to_thread(trial.result, val_accuracy=0.97, val_loss=math.inf)
    assert desk.points[ref] == [Point(step, step / 30) for step in range(30)]
    assert desk.results[ref] == Result(metrics={"val_accuracy": 0.97, "val_loss": math.inf})
    assert json.loads(await asyncio.to_thread(result_file.read_text)) == {"val_accuracy": 0.97, "val_loss": "inf"}


@pytest.mark.parametrize("reason", StopReason)
async def test_a_decision_reaches_the_trial(trial: Trial, desk: MemoryDesk, ref: AttemptRef, reason: StopReason) -> None:
    desk.stops[ref] = reason
    trial.report(0, 0.5)
    await hears(trial, trial.should_stop)
    assert trial.stop_reason == reason.value
    assert trial.should_prune() == (reason is not StopReason.SUSPENDED)
    assert trial.interrupted == (reason is StopReason.SUSPENDED)


async def test_a_pruned_trial_says_so(trial: Trial, desk: MemoryDesk, ref: AttemptRef) -> None:
    desk.stops[ref] = StopReason.PRUNED
    trial.report(0, 0.5)
    await hears(trial, trial.should_prune)

    def leave() -> None:
        with trial:
            raise Pruned

    await asyncio.to_thread(leave)
    assert desk.results[ref] == Result(metrics={"val_accuracy": 0.5}, pruned=True)


async def test_a_superseded_attempt_leaves(trial: Trial, desk: MemoryDesk) -> None:
    desk.failure = Superseded()
    trial.report(0, 0.5)
    await hears(trial, trial.should_prune)
    assert trial.should_stop()


async def test_an_outage_of_the_database_loses_no_report_and_no_result(trial: Trial, desk: MemoryDesk, ref: AttemptRef) -> None:
    desk.failure = Unavailable()
    for step in range(5):
        trial.report(step, 0.5)
    delivery = asyncio.create_task(asyncio.to_thread(trial.result, val_accuracy=0.97))
    await desk.until(lambda: desk.reports > 3)
    desk.failure = None
    await delivery
    assert [point.step for point in desk.points[ref]] == list(range(5))
    assert desk.results[ref] == Result(metrics={"val_accuracy": 0.97})


async def test_a_gateway_that_dies_and_comes_back_loses_no_report(
    *, trial: Trial, gateway: Gateway, desk: MemoryDesk, tokens: LocalTokens, ref: AttemptRef
) -> None:
    trial.report(0, 0.5)
    await desk.until(lambda: desk.reports == 1)
    port = int(gateway.endpoint.rpartition(":")[2])
    await gateway.close()
    trial.report(1, 0.5)
    courier = trial._courier
    assert courier is not None
    await hears(trial, lambda: courier._failures > 0)
    trial.report(2, 0.5)
    back = Gateway(desk, tokens, port=port)
    await back.start()
    await asyncio.to_thread(trial.result, val_accuracy=0.97)
    await asyncio.to_thread(trial.close)
    await back.close()
    assert [point.step for point in desk.points[ref]] == [0, 1, 2]
    assert desk.results[ref] == Result(metrics={"val_accuracy": 0.97})


async def test_a_result_posted_twice_is_committed_once(trial: Trial, desk: MemoryDesk, ref: AttemptRef) -> None:
    await asyncio.to_thread(trial.result, val_accuracy=0.97)
    await asyncio.to_thread(trial.result, val_accuracy=0.97)
    assert desk.results == {ref: Result(metrics={"val_accuracy": 0.97})}


async def test_a_commit_under_way_is_waited_for(trial: Trial, desk: MemoryDesk, ref: AttemptRef) -> None:
    desk.hold = asyncio.Event()
    delivery = asyncio.create_task(asyncio.to_thread(trial.result, val_accuracy=0.97))
    trial.report(0, 0.5)
    await desk.until(lambda: desk.reports == 1)
    assert not delivery.done()
    desk.hold.set()
    await delivery
    assert ref in desk.results


def test_the_largest_batch_of_the_client_is_within_the_gateway_s_limits() -> None:
    longest = {"step": LARGEST_STEP, "value": -1.2345678901234567e-300}
    assert BATCH <= MAX_POINTS
    assert len(json.dumps({"points": [longest] * BATCH}).encode()) <= REPORTS_LIMIT
