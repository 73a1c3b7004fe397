"""Gauges of the studies, read off at each scrape: a study that is gone has no series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tuning_operator.api.status import Phase, StudyStatus

_PHASES = get_args(Phase)


@dataclass(frozen=True, kw_only=True)
class StudyFigures:
    """A study as the gauges see it."""

    namespace: str
    name: str
    phase: str
    status: StudyStatus | None = None  # of one that has not ended
    max_trials: int = 0


_Live = tuple[StudyFigures, StudyStatus]


class StudiesCollector(Collector):
    """Turns the studies of this moment into gauges."""

    def __init__(self, studies: Callable[[], Iterable[StudyFigures]]) -> None:
        """Takes what gives all studies; it is called on the thread of the scrape, and does no I/O."""
        self._studies = studies

    def describe(self) -> Iterable[Metric]:
        """The families without samples: registering asks for these."""
        return _families([])

    def collect(self) -> Iterable[Metric]:
        """The families with a sample for each of today's studies."""
        return _families(list(self._studies()))


def _families(studies: list[StudyFigures]) -> Iterator[Metric]:
    live = [(study, study.status) for study in studies if study.status is not None]
    yield _phases(studies)
    yield _stalled(live)
    yield _trials("tuning_trials_running", "Search trials whose Pod runs.", live, lambda _, status: status.trials.running)
    yield _trials("tuning_trials_waiting", "Search trials that wait for a place.", live, lambda _, status: status.trials.pending)
    yield _each("tuning_study_best_objective", "Best value of the objective so far.", live, _best)
    yield _each("tuning_study_baseline_objective", "What the defaults reach, mean over the repeats.", live, _baseline)
    yield _each("tuning_study_trials_left", "Search trials of the budget that have not ended.", live, _left)
    yield _each(
        "tuning_study_gain_per_hour",
        "Improvement of the objective by a GPU-hour, or by a trial-hour, as spec.stopping.marginalGain asks; absent without it.",
        live,
        _gain,
    )
    yield _each(
        "tuning_study_estimated_completion_timestamp_seconds",
        "When the search will end at today's pace, seconds since the epoch.",
        live,
        lambda _, status: status.estimated_completion.timestamp() if status.estimated_completion else None,
    )


def _phases(studies: list[StudyFigures]) -> Metric:
    family = GaugeMetricFamily("tuning_studies", "Studies by phase.", labels=["namespace", "phase"])
    counts: Counter[tuple[str, str]] = Counter((study.namespace, study.phase) for study in studies)
    for namespace in sorted({study.namespace for study in studies}):
        for phase in _PHASES:
            family.add_metric([namespace, phase], counts[namespace, phase])
    return family


def _stalled(live: list[_Live]) -> Metric:
    text = "Studies that go on only after somebody has mended something, by the reason of their condition Stalled."
    family = GaugeMetricFamily("tuning_studies_stalled", text, labels=["namespace", "reason"])
    stalled = (
        (study.namespace, condition.reason)
        for study, status in live
        for condition in status.conditions
        if (condition.type, condition.status) == ("Stalled", "True")
    )
    for labels, count in sorted(Counter(stalled).items()):
        family.add_metric(labels, count)
    return family


def _trials(name: str, text: str, live: list[_Live], count: Callable[[StudyFigures, StudyStatus], int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["namespace"])
    sums: Counter[str] = Counter()
    for study, status in live:
        sums[study.namespace] += count(study, status)
    for namespace, total in sorted(sums.items()):
        family.add_metric([namespace], total)
    return family


def _each(name: str, text: str, live: list[_Live], value: Callable[[StudyFigures, StudyStatus], float | None]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["namespace", "study"])
    for study, status in live:
        if (figure := value(study, status)) is not None:
            family.add_metric([study.namespace, study.name], figure)
    return family


def _best(_study: StudyFigures, status: StudyStatus) -> float | None:
    return status.best.value if status.best else None


def _baseline(_study: StudyFigures, status: StudyStatus) -> float | None:
    return status.baseline.value if status.baseline else None


def _gain(_study: StudyFigures, status: StudyStatus) -> float | None:
    said = status.stopping
    if said is None:
        return None
    return said.gain_per_trial_hour if said.gain_per_gpu_hour is None else said.gain_per_gpu_hour


def _left(study: StudyFigures, status: StudyStatus) -> float | None:
    ended, _, _ = status.trials.progress.partition("/")
    return study.max_trials - int(ended)
