"""The whole page: one file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from tuning_operator.report import plots, story, tables
from tuning_operator.report.markup import Html, element, join
from tuning_operator.report.plots import Plot, Section
from tuning_operator.report.record import StudyRecord

_ASSETS: Final = files("tuning_operator.report") / "assets"


def render(record: StudyRecord) -> str:
    """The report of a study as HTML text."""
    return document(
        title=f"{record.manifest.metadata.name}: tuning report",
        opening=(story.opening(record), tables.comparison(record)),
        sections=plots.sections(record),
        closing=(tables.trials(record), tables.method(record)),
    )


def document(*, title: str, opening: Sequence[Html], sections: Sequence[Section], closing: Sequence[Html] = ()) -> str:
    """A page with plots as HTML text.

    Its content security policy lets the browser run the two scripts inlined here, by their hashes, and load nothing:
    what a user wrote into the study cannot run even if escaping failed.
    """
    drawn = [(_plot_id(section, i), plot) for section in sections for i, plot in enumerate(section.plots)]
    body = join([*opening, *map(_section, sections), *closing])
    library, script = get_plotlyjs(), _asset("report.js")
    return Template(_asset("page.html")).substitute(
        title=join([title]).text,
        policy=_policy(library, script),
        style=_asset("report.css"),
        body=body.text,
        figures=_inert_json([{"id": key} | _figure(plot) for key, plot in drawn]),
        library=library,
        script=script,
    )


def save(output: Path, text: str) -> None:
    """Write the file whole or not at all: a reader may have the old one open."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    try:
        # A container's last words may hold what UTF-8 cannot.
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _section(section: Section) -> Html:
    figures = [_placeholder(section, i, plot) for i, plot in enumerate(section.plots)]
    panels = [element("div", *figures, class_="panels" if len(figures) > 1 else "panel")] if figures else []
    return element("section", element("h2", section.title), element("p", section.lead), *panels, id=section.key)


def _placeholder(section: Section, index: int, plot: Plot) -> Html:
    height = f"min-height: {plot.figure.layout.height}px"
    target = element("div", id=_plot_id(section, index), class_="plot", style=height, role="img", aria_label=plot.description)
    caption = [element("figcaption", plot.title)] if len(section.plots) > 1 else []
    scrolling = element("div", target, class_="scroll", tabindex="0", role="region", aria_label=f"{section.title}: {plot.title}")
    return element("figure", *caption, scrolling, style=f"--least: {plot.least_width}px" if plot.least_width else None)


def _plot_id(section: Section, index: int) -> str:
    return f"plot-{section.key}-{index}"


def _figure(plot: Plot) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(to_json_plotly(plot.figure, engine="json"))
    return {"data": figure["data"], "layout": figure["layout"]}


def _inert_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
