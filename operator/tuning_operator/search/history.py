"""The part of a study's history that samplers read, and how little of it travels with each question."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuning_operator.api.parameters import Parameters
from tuning_operator.engine.facts import Outcome, Role, Trial, TrialState
from tuning_operator.search.problem import Exhausted, Problem, Suggestion
from tuning_operator.search.recent import Recent

_REMEMBERED = 1024  # studies; forgetting one costs a whole history on its next ask

# A container that fails again and again is taken for a bad configuration. What the cluster or people did is none.
_OF_ITS_PARAMETERS = frozenset((Outcome.INFEASIBLE, Outcome.FAILED))


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A trial as samplers see it. It changes once: from running to finished."""

    number: int
    role: Role
    state: TrialState
    parameters: Parameters
    value: float | None
    last_report: tuple[int, float] | None  # step and value; finite
    unfit: bool  # failed because of its parameters: diverged, out of memory, too slow, crashed again and again
    sampler_state: Mapping[str, str]


def evaluation(trial: Trial) -> Evaluation:
    """What samplers may know of a trial.

    The reports of a running trial are left out: they would make an answer depend on when they arrived.
    """
    finite = {step: value for step, value in trial.reports.items() if trial.finished and math.isfinite(value)}
    return Evaluation(
        number=trial.number,
        role=trial.role,
        state=trial.state,
        parameters=dict(trial.parameters),
        value=trial.value,
        last_report=max(finite.items(), default=None),
        unfit=trial.state is TrialState.FAIL and _ended_by_its_parameters(trial),
        sampler_state=dict(trial.sampler_state),
    )


def _ended_by_its_parameters(trial: Trial) -> bool:
    ended = trial.attempts[-1].ended if trial.attempts else None
    return ended is not None and ended.outcome in _OF_ITS_PARAMETERS


def require_history(trials: Sequence[Trial], number: int) -> None:
    """Refuse a question without all trials before it.

    Raises:
        ValueError: ``trials`` are not those before ``number``.
    """
    if len(trials) != number:
        raise ValueError(f"trial {number} is asked for with {len(trials)} trials before it; there must be {number}")


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What brings a view of the history up to date, and its name from then on."""

    base: int | None  # the name of the view that it continues; None: the evaluations are the whole history
    version: int
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to a worker."""

    problem: Problem
    number: int
    feed: Feed


@dataclass(frozen=True)
class NeedHistory:
    """The worker does not hold the view that the feed continues."""


Answer = Suggestion | Exhausted | NeedHistory


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a worker holds of a study, as far as it can still change."""

    problem: Problem
    version: int
    count: int
    running: Mapping[int, Parameters]


class Ledger:
    """Remembers for each study what its worker holds, and asks with the difference only.

    Finished trials never change, so the difference is found among the running and the new ones: its cost does not
    grow with the history. When in doubt (a claim was lost and its number went to other parameters, a study was
    replaced) the whole history goes.
    """

    def __init__(self) -> None:
        self._versions = itertools.count()
        self._known: Recent[str, _Known] = Recent(_REMEMBERED)

    def request(self, problem: Problem, trials: Sequence[Trial], number: int, *, whole: bool = False) -> Request:
        """The question for trial ``number``, after all of ``trials``; with ``whole`` it carries the full history."""
        return Request(problem=problem, number=number, feed=self._feed(problem, trials, whole=whole))

    def _feed(self, problem: Problem, trials: Sequence[Trial], *, whole: bool) -> Feed:
        version = next(self._versions)
        known = self._known.get(problem.key)
        if whole or known is None or not _continues(known, problem, trials):
            return Feed(base=None, version=version, evaluations=tuple(map(evaluation, trials)))
        finished = [trials[number] for number in known.running if trials[number].finished]
        changed = (*finished, *trials[known.count :])
        return Feed(base=known.version, version=version, evaluations=tuple(map(evaluation, changed)))

    def answered(self, request: Request, suggestion: Suggestion) -> None:
        """Note that the worker gave this answer, and so holds the new trial as a running one."""
        known = self._known.get(request.problem.key)
        running = dict(known.running) if known is not None and request.feed.base is not None else {}
        for each in request.feed.evaluations:
            if each.state is TrialState.RUNNING:
                running[each.number] = each.parameters
            else:
                running.pop(each.number, None)
        self._known[request.problem.key] = _Known(
            problem=request.problem,
            version=request.feed.version,
            count=request.number + 1,
            running=running | {request.number: suggestion.parameters},
        )


def _continues(known: _Known, problem: Problem, trials: Sequence[Trial]) -> bool:
    return (
        known.problem == problem
        and known.count <= len(trials)
        and all(trials[number].parameters == parameters for number, parameters in known.running.items())
    )
