"""Gauges of the operator's own process, read off at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, kw_only=True)
class ProcessFigures:
    """How the process is. Times are seconds since the epoch, 0 for never."""

    queue_depth: int = 0
    open_studies: int = 0
    event_loop_lag: float = 0.0  # seconds
    last_watch_event_at: float = 0.0
    last_list_at: float = 0.0


class ProcessCollector(Collector):
    """Turns these into gauges."""

    def __init__(self, figures: Callable[[], ProcessFigures]) -> None:
        """Takes what gives the figures of now. No I/O."""
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        """The families: registering asks for these."""
        return _families(ProcessFigures())

    def collect(self) -> Iterable[Metric]:
        """The families with their values."""
        return _families(self._figures())


def _families(figures: ProcessFigures) -> Iterator[Metric]:
    for name, text, value in (
        ("tuning_operator_queue_depth", "Studies that wait to be looked at.", figures.queue_depth),
        (
            "tuning_operator_open_studies",
            "Studies held in memory with all their trials: those that have not ended.",
            figures.open_studies,
        ),
        (
            "tuning_operator_event_loop_lag_seconds",
            "How late the event loop was, at worst in the last minute.",
            figures.event_loop_lag,
        ),
        (
            "tuning_operator_last_watch_event_timestamp_seconds",
            "When a watch brought something last, seconds since the epoch.",
            figures.last_watch_event_at,
        ),
        (
            "tuning_operator_last_list_timestamp_seconds",
            "When all objects were listed last, seconds since the epoch.",
            figures.last_list_at,
        ),
    ):
        yield GaugeMetricFamily(name, text, value=value)
