"""Optuna's plots of a study, each with the sentence that says how to read it, or why there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import optuna
import plotly.graph_objects as go
from optuna import visualization
from optuna.importance import PedAnovaImportanceEvaluator

from tuning_operator.report import figures
from tuning_operator.report.quiet import quiet_optuna
from tuning_operator.report.record import StudyRecord, TrialRow
from tuning_operator.report.words import count, listed, score, shortened

_MOST_PARAMETERS: Final = 12
"""More axes or panels than this cannot be read; the most important ones are shown."""

_MOST_POINTS: Final = 1_000
"""Most trials in a plot that draws each of them several times; a browser draws these in a second or two."""

_MOST_LINES: Final = 300
"""Parallel coordinates of more trials are a carpet."""

_MOST_CURVES: Final = 100

_HISTORY: Final = "How the search went"

_AXIS_WIDTH: Final = 90
"""Pixels that an axis of parallel coordinates and its labels need."""

_FEW: Final = 20
"""Below this many results, importances are a hint at best."""

_TOP_TRIALS: Final = 5
"""Optuna advises at least so many trials in the part that PED-ANOVA calls good."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure and what it says to somebody who cannot see it."""

    title: str
    description: str
    figure: go.Figure
    least_width: int = 0  # pixels; on a narrower screen the plot scrolls


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, how to read what follows, and the plots: none where there is too little to draw."""

    key: str
    title: str
    lead: str
    plots: tuple[Plot, ...] = ()


def sections(record: StudyRecord) -> tuple[Section, ...]:
    """Every plot of the report, in the order a reader asks for them."""
    with quiet_optuna():
        return (*_of_the_search(record), *_intermediate(record))


def _of_the_search(record: StudyRecord) -> tuple[Section, ...]:
    too_little = _too_little(record)
    if too_little:
        return (Section(key="history", title=_HISTORY, lead=too_little),)
    importance, leading = _importance(record)
    return _history(record), importance, _parallel(record, leading), _slices(record, leading)


def _too_little(record: StudyRecord) -> str | None:
    """Why there is nothing to draw; None when there is enough."""
    match len(record.scored):
        case 0:
            return "No search trial ended with a value, so there is nothing to draw."
        case 1:
            return "Only one search trial ended with a value; a plot needs at least two."
    return None


def _history(record: StudyRecord) -> Section:
    metric = record.objective.metric
    drawn = visualization.plot_optimization_history(record.view({row.number for row in record.scored}))
    runs = [(row.number, row.value) for row in record.baseline]
    figure = figures.history(drawn, metric=shortened(metric), baseline=record.status.baseline, runs=runs)
    lead = f"Each dot is a trial; the line is the best {metric} so far."
    if record.status.baseline:
        lead += " The dashed line is what the defaults reach on average: dots on its good side beat them."
    else:
        lead += " There is no baseline to compare with."
    return Section(
        key="history",
        title=_HISTORY,
        lead=lead,
        plots=(Plot(title=_HISTORY, description=_history_in_words(record), figure=figure),),
    )


def _history_in_words(record: StudyRecord) -> str:
    values = [row.value for row in record.scored if row.value is not None]
    told = f"{record.objective.metric} of {count(len(values), 'trial')}, from {score(min(values))} to {score(max(values))}"
    best = record.status.best
    return f"{told}; the best is trial {best.trial} with {score(best.value)}." if best else f"{told}."


def _varying(rows: Sequence[TrialRow]) -> list[str]:
    """Parameters of which at least two values were tried, in order of their names."""
    seen: dict[str, set[Any]] = {}
    for row in rows:
        for name, value in row.parameters.items():
            seen.setdefault(name, set()).add(value)
    return sorted(name for name, values in seen.items() if len(values) > 1)


def _importance(record: StudyRecord) -> tuple[Section, list[str]]:
    """The importances, and the parameters worth showing elsewhere, most important first."""
    title = "Which parameters mattered"
    varying = _varying(record.scored)
    reason = _nothing_to_explain(record, varying)
    if reason:
        return Section(key="importance", title=title, lead=reason), varying[:_MOST_PARAMETERS]
    total = len(record.scored)
    share = max(0.1, min(0.5, _TOP_TRIALS / total))
    drawn = visualization.plot_param_importances(
        record.view({row.number for row in record.scored}),
        evaluator=PedAnovaImportanceEvaluator(target_quantile=share),
        params=varying,
    )
    shares = dict(zip(reversed(drawn.data[0].y), reversed(drawn.data[0].x), strict=True))
    lead = f"How much each parameter decides whether a trial is among the best {share:.0%} (PED-ANOVA); the shares add up to 1."
    if total < _FEW:
        lead += f" From {total} trials this is a hint, not a finding."
    told = ", ".join(f"{name} {value:.2f}" for name, value in shares.items())
    plot = Plot(title=title, description=f"Importance of each parameter: {told}.", figure=figures.importance(drawn))
    return Section(key="importance", title=title, lead=lead, plots=(plot,)), list(shares)[:_MOST_PARAMETERS]


def _nothing_to_explain(record: StudyRecord, varying: list[str]) -> str | None:
    if not varying:
        return "No parameter varied among the trials with a value, so none can have mattered."
    if len({row.value for row in record.scored}) == 1:
        return f"All trials reached the same {record.objective.metric}, so no parameter made a difference."
    return None


def _parallel(record: StudyRecord, leading: list[str]) -> Section:
    title = "What good trials have in common"
    reason = _nothing_varied(leading)
    if reason:
        return Section(key="parallel", title=title, lead=reason)
    rows = _thinned(record, most=_MOST_LINES)
    names = sorted(leading)
    metric = record.objective.metric
    drawn = visualization.plot_parallel_coordinate(
        record.view({row.number for row in rows}), params=names, target_name=shortened(metric)
    )
    partial = [name for name in names if any(name not in row.parameters for row in rows)]
    figure = figures.parallel(
        drawn, minimize=record.objective.direction == "minimize", partial=[names.index(name) + 1 for name in partial]
    )
    lead = f"Each line is a trial; the bluer it is, the better its {metric}. Follow the blue lines from axis to axis."
    if partial:
        lead += f" A line that meets {listed(partial)} at \N{LEFT DOUBLE QUOTATION MARK}inactive"
        lead += "\N{RIGHT DOUBLE QUOTATION MARK} did not use it."
    lead += _left_out(record, rows, leading)
    plot = Plot(
        title=title,
        description=f"Parallel coordinates of {count(len(rows), 'trial')} over {metric}, {', '.join(names)}.",
        figure=figure,
        least_width=_AXIS_WIDTH * (len(names) + 1),
    )
    return Section(key="parallel", title=title, lead=lead, plots=(plot,))


def _slices(record: StudyRecord, leading: list[str]) -> Section:
    title = "Parameter by parameter"
    reason = _nothing_varied(leading)
    if reason:
        return Section(key="slices", title=title, lead=reason)
    rows = _thinned(record, most=_MOST_POINTS)
    view = record.view({row.number for row in rows})
    lead = "Each dot is a trial: grey ones came early, blue ones late. The diamond is the best."
    if record.status.baseline:
        lead += " The dashed line is what the defaults reach."
    plots = tuple(_slice(record, view, name) for name in leading)
    return Section(key="slices", title=title, lead=lead + _left_out(record, rows, leading), plots=plots)


def _slice(record: StudyRecord, view: optuna.Study, name: str) -> Plot:
    metric, best = record.objective.metric, record.status.best
    drawn = visualization.plot_slice(view, params=[name])
    shown = view.trials[best.trial].params.get(name) if best else None
    marked = (shown, best.value) if best and shown is not None else None
    figure = figures.slice_of(drawn, best=marked, baseline=record.status.baseline, span=_span(record))
    return Plot(title=name, description=f"{metric} against {name}.", figure=figure)


def _span(record: StudyRecord) -> tuple[float, float]:
    values = [_value(row) for row in record.scored]
    if record.status.baseline:
        values.append(record.status.baseline.value)
    return min(values), max(values)


def _nothing_varied(leading: list[str]) -> str | None:
    return None if leading else "No parameter varied among the trials with a value, so there is nothing to compare."


def _left_out(record: StudyRecord, rows: Sequence[TrialRow], leading: list[str]) -> str:
    """What a plot does not show, in sentences."""
    varying, tried = _varying(record.scored), {name for row in record.scored for name in row.parameters}
    constant = sorted(tried - set(varying))
    text = ""
    if constant:
        text += f" Not shown, since only one value was tried: {listed(constant)}."
    if len(leading) < len(varying):
        text += f" Of {len(varying)} parameters the {len(leading)} most important are shown."
    if len(rows) < len(record.scored):
        text += f" Of {len(record.scored):,} trials {len(rows):,} are shown, evenly from best to worst."
    return text


def _intermediate(record: StudyRecord) -> tuple[Section, ...]:
    """Learning curves; nothing at all when no trial reported any."""
    reporting = [row for row in record.trials if row.steps and row.state in {"complete", "pruned"}]
    if not reporting:
        return ()
    title, metric, best = "How each trial learned", record.objective.metric, record.status.best
    shown = _evenly(reporting, _MOST_CURVES, first=best.trial if best else None)
    drawn = visualization.plot_intermediate_values(record.view({row.number for row in shown}))
    by_number = {row.number: row for row in shown}
    figure = figures.intermediate(drawn, rows=by_number, metric=shortened(metric), best=best.trial if best else None)
    lead = f"{metric} as each trial reported it, step by step."
    lead += " Blue is the best trial, orange the defaults, dotted a pruned trial."
    if len(shown) < len(reporting):
        lead += f" Of {len(reporting):,} trials {len(shown):,} are shown."
    plot = Plot(title=title, description=f"{metric} against the step, for {count(len(shown), 'trial')}.", figure=figure)
    return (Section(key="intermediate", title=title, lead=lead, plots=(plot,)),)


def _thinned(record: StudyRecord, *, most: int) -> list[TrialRow]:
    """The trials to draw: all, or evenly from best to worst where there are too many."""
    ranked = sorted(record.scored, key=_value, reverse=record.objective.direction == "maximize")
    return _evenly(ranked, most)


def _value(row: TrialRow) -> float:
    assert row.value is not None, "only scored trials are ranked"
    return row.value


def _evenly(rows: Sequence[TrialRow], most: int, *, first: int | None = None) -> list[TrialRow]:
    """At most so many of the rows, evenly spaced, with the trial numbered first among them."""
    wanted = [row for row in rows if row.number == first]
    others = [row for row in rows if row.number != first]
    room = min(most - len(wanted), len(others))
    return wanted + [others[i * len(others) // room] for i in range(room)]
