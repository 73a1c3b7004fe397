"""The page of a learning-rate range test: its curve, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tuning_operator.report import figures, page
from tuning_operator.report.markup import element
from tuning_operator.report.plots import Plot, Section

_TITLE = "Loss by learning rate"


def write(curve: Mapping[str, Sequence[float]], *, study: str, low: float, high: float, manifest: str, output: Path) -> None:
    """Write the page into one HTML file that asks the network for nothing.

    Args:
        curve: `rates`, `losses` and `smoothed`, one number for each step.
        study: the study's name.
        low: lower end of the suggested range.
        high: its upper end.
        manifest: the lines for the manifest.
        output: the file to write; replaced whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    rates, losses, smoothed = (list(curve[name]) for name in ("rates", "losses", "smoothed"))
    told = f"{_TITLE}, from {rates[0]:.1g} to {rates[-1]:.1g}; the suggested range is {low:.1g} to {high:.1g}."
    plot = Plot(title=_TITLE, description=told, figure=figures.rates(rates, losses, smoothed, low=low, high=high))
    lead = (
        "The learning rate rises from step to step. Left of the shaded range the loss hardly moves, right of it the rate is"
        " too high to stay there."
    )
    text = page.document(
        title=f"{study}: learning-rate range test",
        opening=(element("h1", f"{study}: learning rates worth searching"), element("pre", manifest)),
        sections=(Section(key="rates", title=_TITLE, lead=lead, plots=(plot,)),),
    )
    page.save(output, text)
