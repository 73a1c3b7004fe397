"""How simulated trials of tests end, and searchers that forget."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.search.simulation import End

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Outcome, Role, Trial, TrialState
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Exhausted, Problem, Suggestion


def eventful(number: int, parameters: Parameters) -> End:
    """Mostly complete; every fifth trial is pruned, some before any report, every seventh fails, half by its parameters."""
    score = sum(len(value) if isinstance(value, str) else math.tanh(value) for value in parameters.values())
    if number % 7 == 6:
        outcome = Outcome.INFEASIBLE if number % 2 else Outcome.DISRUPTED
        return End(state=TrialState.FAIL, reports={1: score}, outcome=outcome)
    if number % 5 == 4:
        reports = {1: score, 2: score / 2, 3: math.nan} if number % 2 else {}
        return End(state=TrialState.PRUNED, value=reports.get(2), reports=reports)
    return End(value=score, reports={1: score / 2, 4: score})


def trial(
    number: int,
    parameters: Parameters,
    state: TrialState = TrialState.RUNNING,
    value: float | None = None,
    *,
    role: Role = Role.SEARCH,
) -> Trial:
    return Trial(
        number=number,
        role=role,
        parameters=parameters,
        seed=0,
        claimed_at=0.0,
        attempts=(),
        state=state,
        value=value,
    )


class ForgetfulSearcher:
    """Rebuilds everything from the trials at every question."""

    async def ask(self, problem: Problem, trials: Sequence[Trial], number: int) -> Suggestion | Exhausted:
        return InlineSearcher().ask_now(problem, trials, number)

    async def close(self) -> None:
        pass
