"""Studies whose trials are nothing but what they reported, in the order in which they did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.support.studies import study_spec

from tuning_operator.engine.facts import Attempt, Role, StudyFacts, Trial, TrialState
from tuning_operator.engine.policies import pruning

Report = tuple[int, int, float]
"""Trial, step, value."""


def curve(*values: float, first: int = 1) -> dict[int, float]:
    """Reports of consecutive steps."""
    return dict(enumerate(values, first))


def trial(number: int, reports: Mapping[int, float], *, complete: bool = False) -> Trial:
    """A search trial that has reported this, one report after the other, and after those of all smaller numbers."""
    return Trial(
        number=number,
        role=Role.SEARCH,
        parameters={"learning_rate": 10.0**-number},
        seed=number,
        claimed_at=0.0,
        attempts=(Attempt(number=0, generation=1, claimed_at=0.0, started_at=0.0),),
        state=TrialState.COMPLETE if complete else TrialState.RUNNING,
        value=list(reports.values())[-1] if complete else None,
        reports=dict(reports),
        arrivals={step: 1_000 * number + place for place, step in enumerate(reports)},
    )


def study(
    pruning: Mapping[str, Any],
    *,
    complete: Iterable[Mapping[int, float]] = (),
    running: Iterable[Mapping[int, float]] = (),
    direction: str = "maximize",
    **spec: Any,
) -> StudyFacts:
    """Completed trials, then running ones."""
    objectives = [{"metric": "score", "direction": direction}]
    done = [trial(number, reports, complete=True) for number, reports in enumerate(complete)]
    under_way = [trial(number, reports) for number, reports in enumerate(running, len(done))]
    chosen = study_spec(pruning=dict(pruning), objectives=objectives, budget={"maxTrials": 1_000}, **spec)
    return StudyFacts(spec=chosen, generation=1, began_at=0.0, trials=(*done, *under_way))


def reported(facts: StudyFacts, reports: Sequence[Report], *, after: int = 0) -> StudyFacts:
    """The study after these reports of its trials, which came in this order, and after so many others."""
    trials = list(facts.trials)
    for place, (number, step, value) in enumerate(reports):
        known = trials[number]
        trials[number] = replace(
            known, reports={step: value, **known.reports}, arrivals={step: 1_000_000 + after + place, **known.arrivals}
        )
    return replace(facts, trials=tuple(trials))


def pruned(facts: StudyFacts) -> list[int]:
    """Numbers of the trials that are to be stopped."""
    return [action.trial for action in pruning.policy(facts, 0.0)]
