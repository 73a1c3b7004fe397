"""What samplers make of trials that diverge or are pruned. Prints the tables of docs/decisions/0051.

    OMP_NUM_THREADS=1 nice -n 10 python -m bench.search.failures

The same studies are told in several ways: a diverged trial as an end by its parameters, or as a failure that no sampler
looks at; a pruned one as pruned, as an end by its parameters, or as such a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Final, Literal, cast

from bench.search.problems import OBJECTIVES, Objective
from bench.search.simulation import End, Run, Simulation

from tuning_operator.api.parameters import Parameters
from tuning_operator.api.study import SamplerName
from tuning_operator.engine.facts import Outcome, Trial, TrialState
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Problem

Telling = Literal["unseen", "by its parameters", "pruned"]
_FAILED: Final[dict[Telling, End]] = {
    "unseen": End(state=TrialState.FAIL, outcome=Outcome.DISRUPTED),
    "by its parameters": End(state=TrialState.FAIL, outcome=Outcome.INFEASIBLE),
}

_EDGES: Final = {"branin": ("x", 5.0), "hartmann6": ("x5", 2 / 3)}
"""Above this value of this parameter a training diverges: in a third of the space, with an optimum near its edge."""

_EPOCHS, _JUDGED_AT, _UNJUDGED = 9, 3, 5


Ends = Callable[[Objective, Telling, int], Run]
Cell = tuple[str, SamplerName, Telling]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one study: the share of its trials that diverged or were pruned, and the regret of its best."""

    lost: float
    regret: float


def diverging(objective: Objective, telling: Telling, _seed: int) -> Run:
    """Trials end in a value, or diverge beyond the edge."""
    name, edge = _EDGES[objective.name]

    def end(_number: int, parameters: Parameters) -> End:
        beyond = cast("float", parameters[name]) > edge
        return _FAILED[telling] if beyond else End(value=objective.regret(parameters))

    return end


def pruned(objective: Objective, telling: Telling, seed: int) -> Run:
    """Trials approach their value over nine epochs, some slower; after the third the worse half is pruned."""
    judged: list[float] = []

    def end(number: int, parameters: Parameters) -> End:
        speed = random.Random(f"{seed}/{number}").uniform(1, 3)
        final = objective.regret(parameters)
        reports = {epoch: final * (1 + 2 * math.exp(-epoch / speed)) for epoch in range(1, _EPOCHS + 1)}
        earlier, now = list(judged), reports[_JUDGED_AT]
        judged.append(now)
        if len(earlier) < _UNJUDGED or now <= statistics.median(earlier):
            return End(value=final, reports=reports)
        if telling != "pruned":
            return _FAILED[telling]
        seen = {epoch: reports[epoch] for epoch in range(1, _JUDGED_AT + 1)}
        return End(state=TrialState.PRUNED, value=now, reports=seen, outcome=Outcome.PRUNED)

    return end


def run(ends: Ends, name: str, sampler: SamplerName, telling: Telling, *, seed: int, trials: int) -> Result:
    objective = OBJECTIVES[name]
    problem = Problem(
        key=f"{name} {sampler} {telling} {seed}",
        parameters=objective.parameters,
        direction="minimize",
        sampler=sampler,
        seed=seed,
        grid_points=None,
        max_trials=trials,
        parallelism=1,
    )
    simulation = Simulation(InlineSearcher(), problem, ends(objective, telling, seed), seed=seed)
    asyncio.run(simulation.until(trials))
    complete = [trial for trial in simulation.finish().trials if trial.state is TrialState.COMPLETE]
    return Result(lost=trials - len(complete), regret=min(_value(trial) for trial in complete))


def _value(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value


def rows(what: str, results: Mapping[Cell, Sequence[Result]]) -> Iterator[str]:
    yield f"| problem | sampler | told as | {what}, median | regret, median [quartiles] | seeds below unseen |"
    yield f"|{'---|' * 6}"
    for (name, sampler, telling), group in results.items():
        low, median, high = statistics.quantiles([result.regret for result in group], n=4, method="inclusive")
        pairs = zip(group, results[name, sampler, "unseen"], strict=True)
        wins = "" if telling == "unseen" else f"{sum(ours.regret < theirs.regret for ours, theirs in pairs)} of {len(group)}"
        lost = statistics.median(result.lost for result in group)
        yield f"| {name} | {sampler} | {telling} | {lost:g} | {median:.2g} [{low:.2g}, {high:.2g}] | {wins} |"


def study(
    ends: Ends, objectives: Sequence[str], tellings: Sequence[Telling], arguments: argparse.Namespace
) -> dict[Cell, list[Result]]:
    once = partial(run, ends, trials=arguments.trials)
    return {
        (name, sampler, telling): [once(name, sampler, telling, seed=seed) for seed in range(arguments.seeds)]
        for name, sampler, telling in product(objectives, arguments.samplers, tellings)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=["tpe", "gp"], choices=["tpe", "gp", "cmaes"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--diverging", nargs="*", default=list(_EDGES), choices=list(_EDGES))
    parser.add_argument("--pruned", nargs="*", default=["branin", "hartmann6", "mixed"], choices=list(OBJECTIVES))
    arguments = parser.parse_args()
    found = study(diverging, arguments.diverging, ["unseen", "by its parameters"], arguments)
    print(*rows("diverged", found), "", sep="\n", flush=True)
    found = study(pruned, arguments.pruned, ["unseen", "by its parameters", "pruned"], arguments)
    print(*rows("pruned", found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
