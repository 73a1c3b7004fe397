"""Asks a search again in its recorded order and compares the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tuning_operator.api.parameters import Parameters, ParameterValue
from tuning_operator.engine.facts import Role, Trial, TrialState
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.problem import Problem, Suggestion


class LoggedEvent(Protocol):
    """An entry of the event log, as far as a replay reads it."""

    @property
    def kind(self) -> str:
        """ask: the trial was claimed; tell: it is finished."""
        ...

    @property
    def trial(self) -> int:
        """Its number."""
        ...


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first parameter that comes out otherwise; None stands for absent."""

    trial: int
    parameter: str
    recorded: ParameterValue | None
    replayed: ParameterValue | None


def replay(problem: Problem, events: Iterable[LoggedEvent], trials: Sequence[Trial]) -> Difference | None:
    """Ask for every search trial again, with what was known when it was asked.

    Args:
        problem: the study's.
        events: the log in order of its sequence. Claims of baseline trials may be missing from it.
        trials: all trials as they ended, at their positions.

    Returns:
        The first difference, or None when every parameter of every search trial is exactly the recorded one.

    Raises:
        SearchFailed: the sampler raised.
        IndexError: the log names a trial that is not there.
    """
    searcher = InlineSearcher()
    known: list[Trial] = []
    for event in events:
        # Numbers are given in order of claim: what is missing before this one was claimed before it.
        known += map(_running, trials[len(known) : event.trial])
        trial = trials[event.trial]
        if event.kind == "tell":
            known[event.trial : event.trial + 1] = [trial]
            continue
        if trial.role is Role.SEARCH:
            answer = searcher.ask_now(problem, known, trial.number)
            replayed = answer.parameters if isinstance(answer, Suggestion) else {}
            difference = _difference(trial, replayed)
            if difference:
                return difference
        known.append(_running(trial))
    return None


def _running(trial: Trial) -> Trial:
    """The trial as it was before its end."""
    nothing: Mapping[int, float] = {}
    return replace(trial, state=TrialState.RUNNING, value=None, reports=nothing, finished_at=None)


def _difference(trial: Trial, replayed: Parameters) -> Difference | None:
    for name in sorted({*trial.parameters, *replayed}):
        recorded, again = trial.parameters.get(name), replayed.get(name)
        if recorded != again:
            return Difference(trial=trial.number, parameter=name, recorded=recorded, replayed=again)
    return None
