"""The progress of a run: a live panel on a terminal, a line per finished trial anywhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.cli.words import duration, number, outcome, parameters, with_spread
from tuning_operator.engine.facts import Role, StudyFacts, Trial


class Progress(Protocol):
    """Shows a study while it runs."""

    def __call__(self, facts: StudyFacts, status: StudyStatus) -> None:
        """Show this state."""


@contextmanager
def shown(console: Console, title: str, *, told: Collection[int]) -> Iterator[Progress]:
    """Show progress on this console while the block runs; trials that were told before it are not told again."""
    lines = _Lines(console, set(told))
    if not console.is_terminal:
        yield lines
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def show(facts: StudyFacts, status: StudyStatus) -> None:
            lines(facts, status)
            live.update(panel(title, facts, status))

        yield show


class _Lines:
    """One line per trial that is told."""

    def __init__(self, console: Console, told: set[int]) -> None:
        self._console = console
        self._told = told

    def __call__(self, facts: StudyFacts, status: StudyStatus) -> None:
        for trial in facts.trials:
            if trial.finished and trial.number not in self._told:
                self._told.add(trial.number)
                # Words of users' own stand in it: nothing is markup, and no line is cut.
                self._console.print(Text(trial_line(facts.spec, trial, status)), soft_wrap=True)


def trial_line(spec: StudySpec, trial: Trial, status: StudyStatus) -> str:
    """What became of one trial."""
    best = status.best is not None and status.best.trial == trial.number
    role = "trial" if trial.role is Role.SEARCH else str(trial.role)
    marker = "  <- best trial so far" if best else ""
    return f"{role:>8} {trial.number:>3}  {outcome(spec, trial):<28} {parameters(trial.parameters)}{marker}"


def panel(title: str, facts: StudyFacts, status: StudyStatus) -> RenderableType:
    """The state of the study on a few lines."""
    spec = facts.spec
    done, running = _counts(facts, status)
    total = spec.budget.max_trials + spec.baseline.repeats + spec.confirmation.repeats
    grid = Table.grid(padding=(0, 2))

    def row(name: str, words: str) -> None:
        grid.add_row(name, Text(words, overflow="ellipsis", no_wrap=True))

    row("search", f"{status.search.sampler}: {status.search.reason}" if status.search else "")
    row("trials", f"{status.trials.progress} told, {running} running")
    if status.baseline:
        row("baseline", f"{spec.objective.metric} {with_spread(status.baseline.value, status.baseline.stddev)}")
    if status.best:
        best = f"{spec.objective.metric} {number(status.best.value)} in trial {status.best.trial}"
        row("best", f"{best}  ({parameters(status.best.parameters)})")
    if status.stopping:
        row("stopping", status.stopping.message)
    if status.estimated_completion:
        left = (status.estimated_completion - datetime.now(UTC)).total_seconds()
        row("left", f"about {duration(left)}" if left > 0 else "any moment")
    # By itself a bar does not end its line.
    return Group(Text(title, style="bold"), Padding(ProgressBar(total=total, completed=done, width=60), 0), grid)


def _counts(facts: StudyFacts, status: StudyStatus) -> tuple[int, int]:
    """How many trials are told, and how many run; by the status where no trials are at hand."""
    if facts.trials:
        return sum(trial.finished for trial in facts.trials), len(facts.live)
    counted = status.trials
    told = counted.succeeded + counted.pruned + counted.failed + counted.stopped
    return told + (status.baseline.repeats if status.baseline else 0), counted.running + counted.pending
