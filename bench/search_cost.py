"""How long samplers take for the next parameters, by the length of the history: `python bench/search_cost.py [--quick]`.

Five parameters, ten trials running. Medians of a few asks, each after one more trial has ended, as in a study that goes
on: the search process holds the history already, and is told what has changed. Stock Optuna asks the same sampler about
the same trials in its own storage in memory: that is what the sampler itself costs. It keeps what it learnt at the ask
before, where ours begins anew, so that the answer can be repeated. All of this is in one process; what the way to the
search process and back adds is measured apart.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import pickle
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import create_trial
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.orchestration.manifest import accuracy, study
from bench.orchestration.scenarios import Scenario

from tuning_operator.api.manifest import parse
from tuning_operator.api.parameters import ParameterValue
from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Role, Trial, TrialState
from tuning_operator.search.history import Ledger
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.pool import SearchPool
from tuning_operator.search.problem import Problem, Suggestion, problem_of
from tuning_operator.search.random_search import draws
from tuning_operator.search.searcher import Searcher
from tuning_operator.search.space import distribution, encode

HISTORIES: Final = (10, 100, 1_000, 3_000, 10_000)
QUICK: Final = (10, 100, 300)
RUNNING: Final = 10
ASKS: Final = 5
WAYS: Final = 50
LONGEST: Final = 1.0
"""Seconds of an ask after which a sampler is not asked about longer histories: those of GP grow with their square."""

_STOCK: Final[dict[SamplerName, Callable[[], BaseSampler]]] = {
    "random": lambda: RandomSampler(seed=1),
    "qmc": lambda: QMCSampler(seed=1, warn_independent_sampling=False),
    "tpe": lambda: TPESampler(seed=1),
    "cmaes": lambda: CmaEsSampler(seed=1, warn_independent_sampling=False),
    "gp": lambda: GPSampler(seed=1, warn_independent_sampling=False),
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of an ask, in seconds."""

    sampler: SamplerName
    history: int
    ours: float
    stock: float


def problem_for(sampler: SamplerName) -> Problem:
    document = study("search-cost", Scenario(sampler=sampler, trials=10_000, parallelism=RUNNING))
    return problem_of(f"search-cost/{sampler}", parse(document).spec, sampler)


def trial_of(number: int, suggestion: Suggestion) -> Trial:
    return Trial(
        number=number,
        role=Role.SEARCH,
        parameters=suggestion.parameters,
        seed=number,
        claimed_at=0.0,
        attempts=(),
        sampler_state=suggestion.sampler_state,
    )


def ended(trial: Trial) -> Trial:
    return replace(trial, state=TrialState.COMPLETE, value=accuracy(trial.parameters), finished_at=1.0)


def random_trials(problem: Problem, count: int) -> list[Trial]:
    return [trial_of(number, Suggestion(next(draws(problem, number)))) for number in range(count)]


def median_ask(ask: Callable[[], object], end_one: Callable[[], object]) -> float:
    """The first ask, which brings the whole history, is not counted."""
    ask()
    took = []
    for _ in range(ASKS):
        end_one()
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def ours(problem: Problem, history: int) -> float:
    searcher = InlineSearcher()
    trials = [ended(trial) for trial in random_trials(problem, history)]
    trials += random_trials(problem, history + RUNNING)[history:]
    running = iter(range(history, history + RUNNING))

    def ask() -> None:
        answer = searcher.ask_now(problem, trials, len(trials))
        assert isinstance(answer, Suggestion), "only a grid is exhausted"
        trials.append(trial_of(len(trials), answer))

    def end_one() -> None:
        number = next(running)
        trials[number] = ended(trials[number])

    return median_ask(ask, end_one)


def stock(problem: Problem, history: int) -> float:
    space = {parameter.name: distribution(parameter) for parameter in problem.parameters}
    alone = optuna.create_study(direction="maximize", sampler=_STOCK[problem.sampler]())
    trials = random_trials(problem, history + RUNNING)
    for trial in trials[:history]:
        params = _encoded(problem, trial)
        alone.add_trial(create_trial(params=params, distributions=space, value=accuracy(trial.parameters)))
    running = []
    for trial in trials[history:]:
        alone.enqueue_trial(_encoded(problem, trial))
        running.append((alone.ask(space), accuracy(trial.parameters)))
    waiting = iter(running)
    return median_ask(lambda: alone.ask(space), lambda: alone.tell(*next(waiting)))


def _encoded(problem: Problem, trial: Trial) -> dict[str, ParameterValue]:
    return {parameter.name: encode(parameter, trial.parameters[parameter.name]) for parameter in problem.parameters}


def measure(histories: tuple[int, ...]) -> Iterator[Cost]:
    for sampler in _STOCK:
        problem = problem_for(sampler)
        for history in histories:
            cost = Cost(sampler=sampler, history=history, ours=ours(problem, history), stock=stock(problem, history))
            yield cost
            if cost.ours > LONGEST:
                break


async def way() -> float:
    """What asking another process adds to an ask of TPE that has learnt nothing."""
    pool = SearchPool(processes=1)
    there, here = [await first_asks(searcher) for searcher in (pool, InlineSearcher())]
    await pool.close()
    return there - here


async def first_asks(searcher: Searcher) -> float:
    problem, trials, took = problem_for("tpe"), list[Trial](), []
    for number in range(WAYS):
        began = time.perf_counter()
        answer = await searcher.ask(problem, trials, number)
        took.append(time.perf_counter() - began)
        assert isinstance(answer, Suggestion), "only a grid is exhausted"
        trials.append(trial_of(number, answer))
    return statistics.median(took)


def question(history: int) -> float:
    """What making a question costs the main process, and carrying it to another one."""
    problem, ledger = problem_for("tpe"), Ledger()
    trials = [ended(trial) for trial in random_trials(problem, history)] + random_trials(problem, history + WAYS)[history:]

    def ask() -> None:
        request = ledger.request(problem, tuple(trials), len(trials))
        pickle.loads(pickle.dumps(request))
        answer = Suggestion(trials[0].parameters)
        ledger.answered(request, answer)
        trials.append(trial_of(len(trials), answer))

    running = iter(range(history, history + WAYS))

    def end_one() -> None:
        number = next(running)
        trials[number] = ended(trials[number])

    return median_ask(ask, end_one)


def show(costs: list[Cost], histories: tuple[int, ...]) -> None:
    table = Table("sampler", "", *(f"{history:,} trials" for history in histories), title="One ask, ms, by finished trials")
    for column in table.columns[2:]:
        column.justify = "right"
    found = {(cost.sampler, cost.history): cost for cost in costs}
    for sampler in _STOCK:
        row = [found.get((sampler, history)) for history in histories]
        table.add_row(sampler, "ours", *(_milliseconds(cost.ours if cost else math.nan) for cost in row))
        table.add_row("", "stock", *(_milliseconds(cost.stock if cost else math.nan) for cost in row))
    Console().print(table)


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:,.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short histories only")
    histories = QUICK if parser.parse_args().quick else HISTORIES
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    show(list(measure(histories)), histories)
    Console().print(f"The way to the search process and back takes {1000 * asyncio.run(way()):.1f} ms more.")
    questions = ", ".join(f"{1000 * question(history):.2f} ms after {history:,}" for history in histories)
    Console().print(f"Of this, making a question and carrying it: {questions} trials.")


if __name__ == "__main__":
    main()
