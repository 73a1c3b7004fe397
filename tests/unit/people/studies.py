"""Studies to be read: simulated ones, and a place where they are open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.api.status import StudyStatus
from tuning_operator.engine.facts import Outcome, SamplerChoice, StudyFacts
from tuning_operator.engine.status import project

NAMESPACE: Final = "research"
NAME: Final = "digits"
UID: Final = "6f1f0d3a-7c1e-4b52-8a55-1f0a9f7d9c11"
CHOICE: Final = SamplerChoice(sampler="tpe", reason="two at once")


def running(**changes: Any) -> SimulatedWorld:
    """A study of one baseline run and four search trials, of which two run at once; nothing has ended."""
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 1}, budget={"maxTrials": 4, "parallelism": 2}, **changes))
    world.settle()
    return world


def finished() -> SimulatedWorld:
    """The same at its end."""
    world = running()
    world.run_to_end(lambda trial: (Outcome.SUCCEEDED, 0.5 + trial.number / 10))
    return world


@dataclass
class OpenedStudy:
    """A simulated study as the operator holds it; it counts how often it is looked at."""

    world: SimulatedWorld
    uid: str = UID
    status: StudyStatus | None = None
    looks: int = 0
    while_looking: Callable[[], None] = lambda: None

    @property
    def controller(self) -> WorldController:
        return WorldController(self)


@dataclass
class WorldController:
    opened: OpenedStudy

    def facts(self) -> StudyFacts:
        self.opened.looks += 1
        self.opened.while_looking()
        return self.opened.world.facts

    def status(self, facts: StudyFacts, previous: StudyStatus | None = None) -> StudyStatus:
        return project(facts, self.opened.world.now, choice=CHOICE, previous=previous)


@dataclass
class Opened:
    """The studies that are open."""

    studies: dict[tuple[str, str], OpenedStudy] = field(default_factory=dict)

    def get(self, namespace: str, name: str) -> OpenedStudy | None:
        return self.studies.get((namespace, name))
