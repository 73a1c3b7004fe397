"""What is made of a run: figures per trial, and how long an ended trial's place stayed empty. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any

from bench.orchestration.audit import Request
from bench.orchestration.scenarios import Scenario


@dataclass(frozen=True, kw_only=True)
class Trials:
    """When trials ended and began, as the API server saw it; seconds since the epoch."""

    ends: Mapping[str, Sequence[float]]
    """By study."""
    creations: Mapping[str, Sequence[float]]

    @property
    def count(self) -> int:
        """Trials that have ended."""
        return sum(map(len, self.ends.values()))

    @property
    def seconds(self) -> float:
        """From the first Job to the last end."""
        ends = [at for each in self.ends.values() for at in each]
        creations = [at for each in self.creations.values() for at in each]
        return max(ends) - min(creations) if ends and creations else math.nan

    def turnarounds(self, parallelism: int) -> list[float]:
        """For each end, how long it took until the Job that fills its place was created; seconds.

        The first Jobs of a study fill places that were empty; each later one fills that of the earliest end which no Job
        has answered yet.
        """
        return [
            creation - end
            for study, ends in self.ends.items()
            for end, creation in zip(sorted(ends), sorted(self.creations[study])[parallelism:], strict=False)
        ]


def trials_of(requests: Iterable[Request], *, ender: str, end: tuple[str, str]) -> Trials:
    """Find them in the audit log.

    Args:
        requests: of the run.
        ender: who writes the ends.
        end: resource and field manager of the write that ends a trial.
    """
    ends: defaultdict[str, list[float]] = defaultdict(list)
    creations: defaultdict[str, list[float]] = defaultdict(list)
    for request in requests:
        if request.code >= HTTPStatus.BAD_REQUEST or request.rehearsal:
            continue
        if request.user == ender and (request.resource, request.manager) == end:
            job = request.name.rpartition("-")[0] if request.resource.startswith("pods") else request.name
            ends[_study(job)].append(request.at)
        elif request.user != ender and (request.verb, request.resource) == ("create", "jobs"):
            creations[_study(request.name)].append(request.at)
    return Trials(ends=dict(ends), creations=defaultdict(list, creations))


def repetitions(requests: Iterable[Request]) -> int:
    """How many Jobs were created that are not the first of their trial."""
    created = (request for request in requests if (request.verb, request.resource) == ("create", "jobs"))
    return sum(not request.name.endswith("-0") for request in created if not request.rehearsal)


def _study(job: str) -> str:
    """Of a Job's name: study, hash, trial, attempt."""
    return job.rsplit("-", 3)[0]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not less than so many percent of them; NaN without any."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1] if values else math.nan


def calls(requests: Iterable[Request], user: str) -> Counter[str]:
    """How often a user asked for what."""
    return Counter(f"{request.verb} {request.resource}" for request in requests if request.user == user)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One run."""

    scenario: Scenario
    trials: int
    """That ended, those that were run again included; fewer than were asked for when the run was cut."""
    repeated: int
    """Jobs beyond the first of their trial: nothing here fails, so that each is an end that was misread."""
    per_second: float
    turnaround_ms: Mapping[str, float]
    """p50, p95, p99, max."""
    calls: float
    """Requests to the API server per trial, those of the simulated part left out; watches too."""
    writes: float
    calls_by_kind: Mapping[str, float]
    etcd_kib: float
    """Sent to etcd per trial, the simulated part's included."""
    cpu_ms: Mapping[str, float]
    """Per trial and process."""
    peak_mib: Mapping[str, float]
    loop_lag_ms: float = math.nan
    """The worst seen on /metrics."""
    ask_ms: float = math.nan
    """Mean, as the operator's main process sees it."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether it was not cut."""
        return self.trials - self.repeated >= self.scenario.all_trials

    def json(self) -> dict[str, Any]:
        """As a document without NaN."""
        return {"title": self.scenario.title, **_plain(asdict(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    return value
