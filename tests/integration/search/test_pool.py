"""Search in real processes: the same answers as in this one, whatever happens to the processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Final

import pytest
from bench.search.simulation import Record, Simulation
from tests.integration.search import deadly
from tests.unit.search.runs import eventful, trial
from tests.unit.search.spaces import COUNTABLE, EVERYTHING, problem

from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import SamplerName
from tuning_operator.search import worker
from tuning_operator.search.blocks import BLOCK
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.pool import SearchPool
from tuning_operator.search.problem import Problem, Suggestion
from tuning_operator.search.searcher import Searcher, SearchFailed

LONG: Final = 60.0  # seconds; only a broken test waits so long


@pytest.fixture
async def pool() -> AsyncIterator[SearchPool]:
    pool = SearchPool(processes=1)
    yield pool
    await pool.close()


def search_pid() -> int:
    """The pid of the only search process."""
    (process,) = multiprocessing.active_children()
    assert process.pid is not None
    return process.pid


def die(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def simulation(searcher: Searcher, asked: Problem) -> Simulation:
    return Simulation(searcher, asked, eventful, seed=3, baseline=2)


def asked_parameters(record: Record) -> list[Parameters]:
    """Without the samplers' state: CMA-ES pickles memory that it has not written yet."""
    return [trial.parameters for trial in record.trials]


async def undisturbed(asked: Problem, trials: int = 20) -> list[Parameters]:
    inline = simulation(InlineSearcher(), asked)
    return asked_parameters(await inline.until(trials))


@pytest.mark.parametrize(("sampler", "trials"), [("qmc", BLOCK + 10), ("tpe", 20), ("gp", 20), ("cmaes", 20)])
async def test_a_process_killed_in_mid_study_changes_no_parameter(pool: SearchPool, sampler: SamplerName, trials: int) -> None:
    asked = problem(EVERYTHING, sampler=sampler)
    study = simulation(pool, asked)
    await study.until(15)
    die(search_pid())
    assert asked_parameters(await study.until(trials)) == await undisturbed(asked, trials)


async def test_a_grid_is_searched_to_its_end(pool: SearchPool) -> None:
    asked = problem(COUNTABLE, sampler="grid")
    assert asked_parameters(await simulation(pool, asked).until(25)) == await undisturbed(asked, 25)


async def test_random_search_needs_no_process(pool: SearchPool) -> None:
    asked = problem(sampler="random")
    assert asked_parameters(await simulation(pool, asked).until(20)) == await undisturbed(asked)
    assert multiprocessing.active_children() == []


async def test_a_grid_too_large_is_told_with_its_cause(pool: SearchPool) -> None:
    too_large = replace(problem(sampler="grid"), grid_points=400)
    with pytest.raises(SearchFailed, match="sampler grid failed at configuration 0: ValueError: the grid has more than"):
        await pool.ask(too_large, [], 0)


async def test_studies_that_share_a_process_do_not_disturb_each_other(pool: SearchPool) -> None:
    studies = [problem(key=f"study-{number}", seed=number) for number in range(3)]
    shared = [simulation(pool, asked) for asked in studies]
    records = await asyncio.gather(*(study.until(20) for study in shared))
    assert [asked_parameters(record) for record in records] == [await undisturbed(asked) for asked in studies]


async def test_a_cancelled_question_changes_no_later_answer(pool: SearchPool) -> None:
    asked = problem()
    first = await pool.ask(asked, [], 0)
    assert isinstance(first, Suggestion)
    trials = [replace(trial(0, first.parameters), sampler_state=first.sampler_state)]
    question = asyncio.create_task(pool.ask(asked, trials, 1))
    await asyncio.sleep(0)
    question.cancel()
    assert await pool.ask(asked, trials, 1) == InlineSearcher().ask_now(asked, trials, 1)


async def test_the_event_loop_runs_while_a_question_is_answered(pool: SearchPool) -> None:
    question = asyncio.create_task(pool.ask(problem(), [], 0))
    turns = 0
    while not question.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_a_question_that_kills_every_process_is_given_up(pool: SearchPool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(worker, "answer", deadly.answer)
        with pytest.raises(SearchFailed, match=r"died 3 times over trial 0 \(sampler tpe, .* raise the operator's memory"):
            await pool.ask(problem(), [], 0)
    assert await pool.ask(problem(), [], 0) == InlineSearcher().ask_now(problem(), [], 0)


async def test_what_a_sampler_raises_is_told_with_its_cause_and_not_tried_again(pool: SearchPool) -> None:
    with pytest.raises(SearchFailed, match="sampler tpe failed at trial 1: KeyError: 'unheard_of'"):
        await pool.ask(problem(), [trial(0, {"unheard_of": 1})], 1)


async def test_ctrl_c_leaves_search_processes_alone(pool: SearchPool) -> None:
    await pool.ask(problem(), [], 0)
    before = search_pid()
    os.kill(before, signal.SIGINT)
    await pool.ask(problem(), [], 0)
    assert search_pid() == before


async def test_closing_ends_the_processes() -> None:
    pool = SearchPool(processes=1)
    await pool.ask(problem(), [], 0)
    await pool.close()
    assert multiprocessing.active_children() == []


@pytest.fixture
def host() -> Iterator[subprocess.Popen[str]]:
    """Another main process, with two search processes of its own."""
    command = [sys.executable, "-m", "tests.integration.search.host"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        yield process
        process.kill()


def test_search_processes_die_with_a_main_process_that_is_killed(host: subprocess.Popen[str]) -> None:
    assert host.stdout is not None
    handles = [os.pidfd_open(int(pid)) for pid in host.stdout.readline().split()]
    assert len(handles) == 2
    host.kill()
    for handle in handles:
        ended, _, _ = select.select([handle], [], [], LONG)
        assert ended == [handle]
        os.close(handle)
