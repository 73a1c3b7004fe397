"""The progress of a run: a live panel on a terminal, a line per finished trial anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.cli.words import duration, number, outcome, parameters
from tuning_operator.engine.facts import Role, StudyFacts, Trial


class Progress(Protocol):
    """Shows a study while it runs."""

    def __call__(self, facts: StudyFacts, status: StudyStatus) -> None:
        """Show this state."""


@contextmanager
def shown(console: Console, title: str) -> Iterator[Progress]:
    """Show progress on this console while the block runs."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        lines = _Lines(console)

        def show(facts: StudyFacts, status: StudyStatus) -> None:
            lines(facts, status)
            live.update(panel(title, facts, status))

        yield show


class _Lines:
    """One line per trial that is told; those of an earlier run are not repeated."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[int] | None = None

    def __call__(self, facts: StudyFacts, status: StudyStatus) -> None:
        told = {trial.number for trial in facts.trials if trial.finished}
        if self._told is None:
            self._told = told if facts.trials and len(told) == len(facts.trials) else set()
        for number_ in sorted(told - self._told):
            self._console.print(trial_line(facts.spec, facts.trial(number_), status), highlight=False, soft_wrap=True)
        self._told |= told


def trial_line(spec: StudySpec, trial: Trial, status: StudyStatus) -> str:
    """What became of one trial."""
    best = status.best is not None and status.best.trial == trial.number
    role = "baseline" if trial.role is Role.BASELINE else "trial"
    marker = "  <- best so far" if best else ""
    return f"{role:>8} {trial.number:>3}  {outcome(spec, trial):<28} {parameters(trial.parameters)}{marker}"


def panel(title: str, facts: StudyFacts, status: StudyStatus) -> RenderableType:
    """The state of the study on a few lines."""
    spec = facts.spec
    done = sum(trial.finished for trial in facts.trials)
    total = spec.budget.max_trials + spec.baseline.repeats
    grid = Table.grid(padding=(0, 2))
    sampler = f"{status.search.sampler}: {status.search.reason}" if status.search else ""
    grid.add_row("search", Text(sampler, overflow="ellipsis", no_wrap=True))
    grid.add_row("trials", Text(f"{status.trials.progress} told, {len(facts.live)} running"))
    if status.baseline:
        spread = f" ± {number(status.baseline.stddev)}" if status.baseline.stddev is not None else ""
        grid.add_row("baseline", f"{spec.objective.metric} {number(status.baseline.value)}{spread}")
    if status.best:
        best = f"{spec.objective.metric} {number(status.best.value)} in trial {status.best.trial}"
        grid.add_row("best", f"{best}  ({parameters(status.best.parameters)})")
    if status.estimated_completion:
        left = (status.estimated_completion - datetime.now(UTC)).total_seconds()
        grid.add_row("left", f"about {duration(left)}" if left > 0 else "any moment")
    return Group(Text(title, style="bold"), ProgressBar(total=total, completed=done, width=60), grid)
