"""How Optuna's figures look in the report: one palette, no titles (the page has headings), readable in light and dark.

Colours are safe for the colour-blind: blue, vermilion and grey, after Okabe and Ito, "Color Universal Design" (2008), the
blue a little lighter so that it stands out on black too.
Text, grids and backgrounds are left to the page, which knows whether it is dark.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from tuning_operator.api.contract import STEPS_PER_FOLD
from tuning_operator.api.status import BaselineStatus
from tuning_operator.report.record import TrialRow
from tuning_operator.report.words import number

_BLUE: Final = "#1a7fc4"
_ORANGE: Final = "#D55E00"
_GREY: Final = "#8c939d"
_SCALE: Final = [[0.0, "#9aa1ab"], [0.5, "#669fcc"], [1.0, _BLUE]]
_MOST_EMPHASIZED: Final = 30
"""Of more lines, about so many stand out; were all of them half blue, none would."""

_SEVERAL_DECADES: Final = 1.5
_FOLD: Final = " fold "
_TRANSPARENT: Final = "rgba(0,0,0,0)"


def _laid_out(figure: go.Figure, *, height: int, **layout: Any) -> go.Figure:
    figure.update_layout(
        template=None,
        title=None,
        width=None,
        height=height,
        autosize=True,
        margin={"l": 56, "r": 16, "t": 16, "b": 48},
        paper_bgcolor=_TRANSPARENT,
        plot_bgcolor=_TRANSPARENT,
    )
    figure.update_layout(**layout)
    return figure


def rates(rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], *, low: float, high: float) -> go.Figure:
    """Loss of each step of a range test by its learning rate, smoothed too; the range from `low` to `high` is shaded."""
    figure = go.Figure(
        [
            go.Scatter(x=rates, y=losses, mode="markers", name="Batch", marker={"color": _GREY, "size": 4}),
            go.Scatter(x=rates, y=smoothed, mode="lines", name="Smoothed", line={"color": _BLUE, "width": 3}),
        ]
    )
    if low < high:
        figure.add_vrect(x0=low, x1=high, fillcolor=_BLUE, opacity=0.15, line_width=0)
    return _laid_out(
        figure,
        height=380,
        xaxis={"type": "log", "title": "learning_rate", "exponentformat": "power"},
        # What the loss explodes to would leave the rest of it a flat line.
        yaxis={"title": "training loss", "range": [min(0.0, *smoothed), 1.5 * max(smoothed[: len(smoothed) // 2])]},
    )


def history(
    figure: go.Figure, *, metric: str, baseline: BaselineStatus | None, runs: Sequence[tuple[int, float | None]]
) -> go.Figure:
    """Optimization history, with the baseline's mean as a dashed line and its runs as diamonds."""
    figure.data = [trace for trace in figure.data if trace.x is not None and len(trace.x)]
    figure.update_traces(
        selector={"mode": "markers"},
        name="Trial",
        marker={"color": _GREY, "size": 8},
        hovertemplate="Trial %{x}: %{y:.5g}<extra></extra>",
    )
    figure.update_traces(
        selector={"mode": "lines"},
        name="Best so far",
        line={"color": _BLUE, "width": 2.5, "shape": "hv"},
        hovertemplate="Best up to trial %{x}: %{y:.5g}<extra></extra>",
    )
    if runs:
        figure.add_scatter(
            x=[run for run, _ in runs],
            y=[value for _, value in runs],
            mode="markers",
            name="Run of the defaults",
            marker={"color": _ORANGE, "size": 9, "symbol": "diamond"},
            hovertemplate="Defaults, trial %{x}: %{y:.5g}<extra></extra>",
        )
    last = max(x for trace in figure.data for x in trace.x)
    if baseline:
        figure.add_scatter(
            x=[0, last],
            y=[baseline.value, baseline.value],
            mode="lines",
            name="Baseline",
            line={"color": _ORANGE, "width": 2, "dash": "dash"},
            hovertemplate="Mean of the defaults: %{y:.5g}<extra></extra>",
        )
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    _laid_out(figure, height=420, legend=legend, showlegend=True)
    figure.update_layout(margin_t=40)
    figure.update_xaxes(title_text="Trial", range=(-0.6, last + 0.6), automargin=True)
    figure.update_yaxes(title_text=metric, automargin=True)
    return figure


def importance(figure: go.Figure) -> go.Figure:
    """Importances as bars, the most important on top."""
    bars = len(figure.data[0].y)
    figure.update_traces(marker_color=_BLUE, hovertemplate="%{y}: %{x:.3f}<extra></extra>")
    _laid_out(figure, height=90 + 30 * bars, showlegend=False)
    figure.update_layout(margin_r=48, bargap=0.35)
    figure.update_xaxes(title_text="Importance", rangemode="tozero", automargin=True)
    figure.update_yaxes(title_text=None, automargin=True)
    return figure


def parallel(figure: go.Figure, *, minimize: bool, partial: Sequence[int]) -> go.Figure:
    """Parallel coordinates, the best trials in blue and on top.

    Args:
        figure: as Optuna drew it: a line for each trial, then a trace that carries the colour bar. A line's first
            point is the objective, scaled to 0 .. 1.
        minimize: whether a small value of the objective is a good one.
        partial: positions of the axes that some trials do not have.
    """
    # Plain dicts: assigning to hundreds of plotly's objects takes seconds.
    lines = [trace.to_plotly_json() for trace in figure.data if trace.mode == "lines"]
    lines.sort(key=lambda line: line["y"][0], reverse=minimize)
    # Coloured by rank: a single bad trial would make all others look alike.
    emphasis = max(1.0, len(lines) / _MOST_EMPHASIZED)
    shares = [(rank / (len(lines) - 1)) ** emphasis for rank in range(len(lines))]
    for line, good, color in zip(lines, shares, sample_colorscale(_SCALE, shares), strict=True):
        line |= {"line": {"color": color, "width": 1 + 1.5 * good}, "opacity": 0.3 + 0.65 * good}
    notes = [note.to_plotly_json() for note in figure.layout.annotations]
    for note in notes:
        absent = note["x"] in partial and note["text"] == "None"
        note |= {"text": "inactive" if absent else note["text"], "font": {"size": 11}, "xanchor": "left", "xshift": 5}
    figure = go.Figure(data=lines, layout=figure.layout)
    figure.layout.annotations = notes
    _laid_out(figure, height=440, showlegend=False)
    figure.update_layout(margin={"l": 44, "r": 24, "t": 16, "b": 40})
    figure.update_xaxes(tickfont_size=12, automargin=True, fixedrange=True, range=(-0.15, len(figure.layout.shapes) - 0.5))
    return figure


def slice_of(
    figure: go.Figure, *, best: tuple[Any, float] | None, baseline: BaselineStatus | None, span: tuple[float, float]
) -> go.Figure:
    """One parameter against the objective, the best trial marked.

    Args:
        figure: as Optuna drew it.
        best: the best trial's values of the parameter and of the objective; None where it does not use the parameter.
        baseline: drawn as a dashed line.
        span: smallest and largest value of the objective in any slice, so that all slices share one axis.
    """
    figure.update_traces(
        marker={"colorscale": _SCALE, "showscale": False, "size": 8, "line": {"width": 0.5, "color": _GREY}},
        hovertemplate="%{x}: %{y:.5g}, trial %{marker.color}<extra></extra>",
    )
    if figure.layout.xaxis.categoryarray:
        # Optuna writes choices as Python does, in quotes.
        figure.update_xaxes(categoryarray=[ast.literal_eval(word) for word in figure.layout.xaxis.categoryarray])
        figure.for_each_trace(lambda trace: trace.update(x=[ast.literal_eval(word) for word in trace.x]))
    if figure.layout.xaxis.type == "log":
        figure.update_xaxes(**_log_ticks(figure.data[0].x))
    if best:
        figure.add_scatter(
            x=[best[0]],
            y=[best[1]],
            mode="markers",
            marker={"symbol": "diamond-open", "size": 15, "color": _ORANGE, "line": {"width": 2.5}},
            hovertemplate="Best: %{x}, %{y:.5g}<extra></extra>",
            showlegend=False,
            cliponaxis=False,
        )
    if baseline:
        figure.add_hline(y=baseline.value, line={"color": _ORANGE, "width": 1.5, "dash": "dash"})
    _laid_out(figure, height=260)
    figure.update_layout(margin={"l": 52, "r": 12, "t": 8, "b": 36})
    figure.update_xaxes(title_text=None, automargin=True)
    low, high = span
    air = 0.06 * (high - low) or 1.0
    figure.update_yaxes(title_text=None, automargin=True, range=(low - air, high + air))
    return figure


def _log_ticks(values: Sequence[float]) -> dict[str, Any]:
    """Whole decades where there are several, 1, 2 and 5 of each otherwise, written as in the tables."""
    low, high = min(values), max(values)
    leading = (1.0,) if math.log10(high / low) > _SEVERAL_DECADES else (1.0, 2.0, 5.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [tick for decade in decades for digit in leading if low <= (tick := digit * 10.0**decade) <= high]
    ticks = inside if len(inside) > 1 else [low, high]
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [number(tick) for tick in ticks], "tickangle": 0}


def intermediate(figure: go.Figure, *, rows: Mapping[int, TrialRow], metric: str, best: int | None) -> go.Figure:
    """Learning curves: grey, the baseline's orange, the best one blue and on top."""
    traces, step = _by_fold(figure.data)
    figure = go.Figure(data=traces, layout=figure.layout)
    for trace in figure.data:
        number, _, fold = trace.name.removeprefix("Trial").partition(_FOLD)
        row = rows[int(number)]
        name, color, width = f"Trial {row.number}", _GREY, 1.0
        if row.role == "baseline":
            name, color, width = f"Defaults, trial {row.number}", _ORANGE, 1.5
        elif row.number == best:
            name, color, width = f"Best: trial {row.number}", _BLUE, 3.0
        elif row.state == "pruned":
            name = f"Trial {row.number}, pruned"
        trace.update(
            name=f"{name}, fold {fold}" if fold else name,
            line={"color": color, "width": width, "dash": "dot" if row.state == "pruned" else "solid"},
            marker_color=color,
            opacity=0.7 if color == _GREY else 1.0,
            mode="lines" if len(trace.x) > 1 else "markers",
            hovertemplate=f"{step} %{{x}}: %{{y:.5g}}",
        )
    figure.data = sorted(figure.data, key=lambda trace: trace.line.width)
    _laid_out(figure, height=400, showlegend=False)
    figure.update_xaxes(title_text=step, automargin=True)
    figure.update_yaxes(title_text=metric, automargin=True)
    return figure


def _by_fold(traces: Sequence[go.Scatter]) -> tuple[list[go.Scatter], str]:
    """A curve for each fold of a trial, and what they go along: steps, or folds where each of these is a single step."""
    points = {
        trace.name: [(*divmod(step, STEPS_PER_FOLD), value) for step, value in zip(trace.x, trace.y, strict=True)]
        for trace in traces
    }
    folds = {name: Counter(fold for fold, _, _ in curve) for name, curve in points.items()}
    if not any(fold for counts in folds.values() for fold in counts):
        return list(traces), "Step"
    if all(steps == 1 for counts in folds.values() for steps in counts.values()):
        return [_curve(name, [(fold, value) for fold, _, value in curve]) for name, curve in points.items()], "Fold"
    return [
        _curve(
            f"{name}{_FOLD}{fold}" if len(counts) > 1 else name,
            [(step, value) for own, step, value in points[name] if own == fold],
        )
        for name, counts in folds.items()
        for fold in counts
    ], "Step"


def _curve(name: str, points: Sequence[tuple[int, float]]) -> go.Scatter:
    return go.Scatter(name=name, x=[x for x, _ in points], y=[y for _, y in points])
