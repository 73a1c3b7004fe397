"""How good is each sampler, by budget and parallelism? Prints the table of docs/decisions/0002-auto-sampler.md.

    OMP_NUM_THREADS=1 nice -n 10 python -m bench.search.quality

Regret of the trial with the best reported value: median [quartiles] over seeds. One run gives all budgets: no sampler
knows its budget, so trial 59 is the same in a run of 60 and in one of 100.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

from bench.search.problems import OBJECTIVES, Objective
from bench.search.simulation import End, Simulation

from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Trial
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Problem

_BUDGETS = (10, 30, 60, 100, 200)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One simulated study."""

    objective: str
    sampler: SamplerName
    parallelism: int
    seed: int
    trials: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """The regret after each budget, and CPU seconds of one ask."""

    case: Case
    regrets: dict[int, float]
    ask: float


def run(case: Case) -> Result:
    objective = OBJECTIVES[case.objective]
    problem = Problem(
        key=repr(case),
        parameters=objective.parameters,
        direction="minimize",
        sampler=case.sampler,
        seed=case.seed,
        grid_points=None,
        max_trials=case.trials,
        parallelism=case.parallelism,
    )

    def end(number: int, parameters: Parameters) -> End:
        noise = random.Random(f"{case.seed}/{number}").gauss(0, objective.noise)
        return End(value=objective.regret(parameters) + noise)

    simulation = Simulation(InlineSearcher(), problem, end, seed=case.seed)
    began = time.process_time()
    asyncio.run(simulation.until(case.trials))
    spent = time.process_time() - began
    trials = simulation.finish().trials
    budgets = [budget for budget in _BUDGETS if budget <= case.trials]
    return Result(
        case=case,
        regrets={budget: _incumbent_regret(objective, trials[:budget]) for budget in budgets},
        ask=spent / case.trials,
    )


def _incumbent_regret(objective: Objective, trials: Sequence[Trial]) -> float:
    incumbent = min(trials, key=lambda trial: trial.value if trial.value is not None else float("inf"))
    return objective.regret(incumbent.parameters)


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    for objective, sampler, parallelism, seed in product(
        arguments.objectives, arguments.samplers, arguments.parallelism, range(arguments.seeds)
    ):
        yield Case(objective=objective, sampler=sampler, parallelism=parallelism, seed=seed, trials=arguments.trials)


def table(results: Sequence[Result]) -> Iterator[str]:
    budgets = sorted({budget for result in results for budget in result.regrets})
    yield f"| problem | at once | sampler | {' | '.join(f'{budget} trials' for budget in budgets)} | ask |"
    yield f"|{'---|' * (len(budgets) + 4)}"
    groups: dict[tuple[str, int, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.case.objective, result.case.parallelism, result.case.sampler), []).append(result)
    for (objective, parallelism, sampler), group in sorted(groups.items()):
        cells = [_cell([result.regrets[budget] for result in group if budget in result.regrets]) for budget in budgets]
        ask = f"{1000 * statistics.median(result.ask for result in group):.0f} ms"
        yield f"| {objective} | {parallelism} | {sampler} | {' | '.join(cells)} | {ask} |"


def _cell(regrets: Sequence[float]) -> str:
    if len(regrets) < 2:
        return "".join(f"{regret:.2g}" for regret in regrets)
    low, median, high = statistics.quantiles(regrets, n=4, method="inclusive")
    return f"{median:.2g} [{low:.2g}, {high:.2g}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=list(OBJECTIVES))
    parser.add_argument("--samplers", nargs="+", default=["random", "qmc", "tpe", "gp"], choices=get_args(SamplerName))
    parser.add_argument("--parallelism", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    arguments = parser.parse_args()
    results = []
    for case in cases(arguments):
        result = run(case)
        results.append(result)
        print(json.dumps({**vars(case), **result.regrets, "ask": result.ask}), file=sys.stderr, flush=True)
    print(*table(results), sep="\n")


if __name__ == "__main__":
    main()
