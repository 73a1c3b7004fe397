"""The reference of the metrics, made from their definitions: ``python -m tuning_operator.telemetry.reference``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from tuning_operator.api import generate
from tuning_operator.telemetry import metrics
from tuning_operator.telemetry.process import ProcessCollector, ProcessFigures
from tuning_operator.telemetry.studies import StudiesCollector

_INTRODUCTION: Final = """\
<!-- Made from operator/tuning_operator/telemetry/ by `python -m tuning_operator.telemetry.reference`. -->

# Metrics

What the operator answers at `/metrics` on its port `monitoring`. The series of a study end with it. No label has values
that users choose, except `namespace` and `study`; `study` stands only on gauges of studies that have not ended.
A histogram `x` has the series `x_bucket`, `x_sum` and `x_count`.

| metric | type | labels | says |
|---|---|---|---|
"""


def render() -> str:
    """The file docs/reference/metrics.md."""
    rows = sorted(_rows())
    return _INTRODUCTION + "".join(f"| `{name}` | {kind} | {labels} | {text} |\n" for name, kind, labels, text in rows)


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for metric in metrics.ALL:
        family = next(iter(metric.describe()))
        suffix = "_total" if family.type == "counter" else ""
        yield family.name + suffix, family.type, _labels(metric._labelnames), _sentence(family)  # noqa: SLF001 - told nowhere else
    for collector in (StudiesCollector(tuple), ProcessCollector(ProcessFigures)):
        for family in collector.describe():
            yield family.name, family.type, _labels(getattr(family, "_labelnames", ())), _sentence(family)


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _sentence(family: Metric) -> str:
    return str(family.documentation).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(generate.main(render(), description=__doc__))
