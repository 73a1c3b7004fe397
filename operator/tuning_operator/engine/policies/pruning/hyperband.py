"""Hyperband: successive halving from several first rungs, for curves that cross. A trial's number says its bracket."""

from __future__ import annotations

import math
from itertools import accumulate

from tuning_operator.api.pruning import Pruning
from tuning_operator.engine.facts import Role, StudyFacts, Trial
from tuning_operator.engine.policies.pruning.rule import Judge
from tuning_operator.engine.policies.pruning.rungs import fallen, first_rung, rungs


def rule(facts: StudyFacts, pruning: Pruning) -> Judge:
    """Stop what did not pass a rung of its bracket, judged by the trials of that bracket."""
    assert pruning.max_resource is not None, "a rule of the manifest"
    first, end, factor = first_rung(pruning), pruning.max_resource, pruning.reduction_factor
    sizes = bracket_sizes(first, end, factor)
    brackets: list[list[Trial]] = [[] for _ in sizes]
    for trial in facts.of(Role.SEARCH):
        brackets[bracket_of(trial.number, sizes)].append(trial)
    hopeless: set[int] = set()
    for bracket, trials in enumerate(brackets):
        hopeless |= fallen(trials, rungs(first * factor**bracket, end, factor), factor, facts.spec)
    return lambda trial: trial.number in hopeless


def bracket_sizes(first: int, end: int, factor: int) -> tuple[int, ...]:
    """Trials of each bracket in one turn: the eagerest, which begins at the first rung, has most.

    With s the times that a bracket halves at most, S the largest s: ceil((S + 1) x factor^s / (s + 1)) trials, which makes all
    brackets about as dear (Li et al. 2018, Hyperband, JMLR 18(185), algorithm 1).
    """
    most = 0
    while first * factor ** (most + 1) <= end:
        most += 1
    return tuple(math.ceil((most + 1) * factor**s / (s + 1)) for s in range(most, -1, -1))


def bracket_of(number: int, sizes: tuple[int, ...]) -> int:
    """The bracket of a trial: turn after turn, each bracket gets its trials one after another."""
    place = number % sum(sizes)
    return next(bracket for bracket, end in enumerate(accumulate(sizes)) if place < end)
