"""What is measured: who replaces ended trials, how many run at once, and how long each takes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from tuning_operator.api.study import SamplerName

Who = Literal["operator", "floor", "simulation"]


@dataclass(frozen=True)
class Pace:
    """How long a simulated trial runs, in seconds: uniform between two bounds, drawn by its Job's name."""

    low: float = 0.0
    high: float = 0.0

    def of(self, job: str) -> float:
        """The duration of a trial: the same in every run."""
        return random.Random(job).uniform(self.low, self.high)

    @classmethod
    def parse(cls, text: str) -> Pace:
        """The pace that ``str`` wrote."""
        low, high = text.split("-")
        return cls(float(low), float(high))

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g}"

    @property
    def title(self) -> str:
        """For people."""
        if self.high == 0:
            return "at once"
        return f"after {self.low:g} s" if self.low == self.high else f"after {self.low:g}-{self.high:g} s"


AT_ONCE: Final = Pace()
TWO_SECONDS: Final = Pace(2, 2)
TEN_SECONDS: Final = Pace(5, 15)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run."""

    who: Who = "operator"
    sampler: SamplerName = "random"
    parallelism: int = 1
    """Of each study."""
    trials: int
    """Of each study, besides those that it has finished before."""
    studies: int = 1
    pace: Pace = AT_ONCE
    job_controller: bool = False
    """The real one makes Pods and ends Jobs; otherwise the simulated kubelet does."""
    finished_before: int = 0
    seconds: float = 25.0
    """After so long it is cut, and the figures are those of the trials that have ended by then."""

    @property
    def all_trials(self) -> int:
        """Of all studies."""
        return self.trials * self.studies

    @property
    def title(self) -> str:
        """For people."""
        parts = [f"{self.studies} studies x {self.trials}" if self.studies > 1 else "", self.sampler]
        parts += ["real Job controller" if self.job_controller else ""]
        parts += [f"{self.finished_before:,} trials before" if self.finished_before else ""]
        named = ", ".join(part for part in parts if part)
        return {"operator": named, "floor": "floor: bare client", "simulation": "simulated side alone"}[self.who]

    @property
    def words(self) -> frozenset[str]:
        """By which it is chosen on the command line."""
        marks = {"jobs": self.job_controller, "history": bool(self.finished_before), "studies": self.studies > 1}
        named = [mark for mark, is_so in marks.items() if is_so]
        return frozenset((self.who, self.sampler, f"P={self.parallelism}", str(self.pace), *(named or ["plain"])))


def full() -> Iterator[Scenario]:
    """All of them, in ten to fifteen minutes on two cores."""
    yield Scenario(who="simulation", parallelism=500, trials=500)
    for parallelism, trials in ((1, 300), (10, 600), (100, 1_000), (1_000, 2_000)):
        yield Scenario(who="floor", parallelism=parallelism, trials=trials)
        yield Scenario(parallelism=parallelism, trials=trials)
    for parallelism, trials in ((10, 300), (100, 500)):
        yield Scenario(sampler="tpe", parallelism=parallelism, trials=trials)
    for parallelism, trials in ((1, 40), (10, 60)):
        yield Scenario(sampler="gp", parallelism=parallelism, trials=trials)
    yield Scenario(parallelism=10, trials=300, finished_before=9_700)
    yield Scenario(studies=50, parallelism=2, trials=20, seconds=45)
    yield from _paced()
    for parallelism, trials in ((10, 300), (100, 500)):
        yield Scenario(parallelism=parallelism, trials=trials, job_controller=True)


def _paced() -> Iterator[Scenario]:
    yield Scenario(who="floor", parallelism=10, trials=100, pace=TWO_SECONDS)
    yield Scenario(parallelism=10, trials=100, pace=TWO_SECONDS)
    yield Scenario(sampler="tpe", parallelism=10, trials=100, pace=TWO_SECONDS)
    yield Scenario(sampler="gp", parallelism=10, trials=60, pace=TWO_SECONDS)
    yield Scenario(who="floor", parallelism=1_000, trials=2_500, pace=TEN_SECONDS, seconds=45)
    yield Scenario(parallelism=100, trials=250, pace=TEN_SECONDS, seconds=45)
    yield Scenario(parallelism=1_000, trials=2_500, pace=TEN_SECONDS, seconds=45)
    yield Scenario(sampler="tpe", parallelism=1_000, trials=2_500, pace=TEN_SECONDS, seconds=45)


def quick() -> Iterator[Scenario]:
    """A few of them, small, in about two minutes."""
    yield Scenario(who="simulation", parallelism=100, trials=100)
    for parallelism, trials in ((1, 50), (10, 100), (100, 300)):
        yield Scenario(who="floor", parallelism=parallelism, trials=trials)
        yield Scenario(parallelism=parallelism, trials=trials)
    yield Scenario(sampler="tpe", parallelism=10, trials=100)
    yield Scenario(parallelism=10, trials=50, pace=TWO_SECONDS)
    yield Scenario(studies=10, parallelism=2, trials=10)


def matching(words: str, scenarios: Iterator[Scenario]) -> Iterator[Scenario]:
    """Those that all the words describe, such as ``operator random P=10 0-0``."""
    wanted = set(words.split())
    return (scenario for scenario in scenarios if wanted <= scenario.words)


def cut(scenario: Scenario, trials: int) -> Scenario:
    """The same with at most so many trials."""
    return replace(scenario, trials=min(trials, scenario.trials))
