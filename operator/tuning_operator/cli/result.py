"""The end of a run as people read it: the figure to beat, the best, and what it gained."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tuning_operator.api.parameters import Parameters, defaults
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.cli.words import number, value, with_spread


def result_table(spec: StudySpec, status: StudyStatus) -> RenderableType:
    """Baseline beside best, parameter by parameter, and the verdict in its own words."""
    parts: list[RenderableType] = [Text(headline(status))]
    if status.best is not None:
        parts.append(_comparison(spec, status))
    gain = gain_line(status)
    if gain:
        parts.append(Text(gain))
    if status.final_evaluation is not None:
        parts.append(Text(f"Final evaluation: {status.final_evaluation.verdict}: {status.final_evaluation.message}."))
    diagnosed = diagnosis_line(status)
    if diagnosed:
        parts.append(Text(diagnosed))
    return Group(*parts)


def headline(status: StudyStatus) -> str:
    """How the study ended, or why it did not."""
    conditions = {condition.type: condition for condition in status.conditions}
    for kind in ("Finished", "Stalled"):  # a failed study is both
        condition = conditions.get(kind)
        if condition is not None and condition.status == "True":
            return f"{'Stalled' if kind == 'Stalled' else status.phase}: {condition.message or condition.reason}"
    return f"{status.phase}: {status.trials.progress} trials told"


def gain_line(status: StudyStatus) -> str:
    """What the search gained over the baseline, and how far to trust it."""
    if status.improvement is None:
        return ""
    gain, fresh = status.improvement.absolute, status.confirmation
    if fresh is not None:
        mean = with_spread(fresh.value, fresh.stddev)
        runs = f"{fresh.repeats} fresh {'runs' if fresh.repeats > 1 else 'run'} of trial {fresh.trial}"
        return f"Confirmed by {runs}: {mean}, {status.improvement.message}."
    if gain <= 0:
        behind = f"is {number(-gain)} behind the defaults' mean" if gain else "only equals the defaults' mean"
        return f"No gain: the best trial {behind}. Keep the defaults."
    return (
        f"Gain over the baseline: {number(gain)}, provisional: it rests on one run, the best of {status.trials.succeeded}, which "
        "flatters it. Run the best parameters again with other seeds before you rely on it."
    )


def diagnosis_line(status: StudyStatus) -> str:
    """What trials say was wrong with their training; empty where they say nothing."""
    if not status.diagnoses:
        return ""
    named = ", ".join(f"{found.name} in {found.trials} (such as trial {found.example})" for found in status.diagnoses)
    own = f" The best trial itself: {', '.join(status.best.diagnoses)}." if status.best and status.best.diagnoses else ""
    return f"Diagnoses of the trainings: {named}.{own}"


def _comparison(spec: StudySpec, status: StudyStatus) -> Table:
    best, base = status.best, status.baseline
    assert best is not None, "called with a best trial"
    table = Table()
    table.add_column("")
    table.add_column("baseline", justify="right")
    table.add_column(f"best (trial {best.trial})", justify="right")

    def row(*cells: str, style: str = "") -> None:
        table.add_row(*map(Text, cells), style=style)  # words of users' own are no markup

    row(spec.objective.metric, with_spread(base.value, base.stddev) if base else "-", number(best.value), style="bold")
    standard = _defaults(spec)
    for name in (parameter.name for parameter in spec.parameters):
        row(name, _shown(standard, name), _shown(best.parameters, name))
    return table


def _defaults(spec: StudySpec) -> Parameters:
    return defaults(spec.parameters) if spec.baseline.repeats else {}


def _shown(values: Parameters, name: str) -> str:
    return value(values[name]) if name in values else "-"
