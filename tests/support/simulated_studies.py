"""Studies at the turning points of their lives."""

from __future__ import annotations

from typing import Final

from tests.support.simulated_world import SimulatedWorld
from tests.support.studies import study_spec

from tuning_operator.engine.facts import Outcome, Phase, StudyCause

NO_ROOM: Final = StudyCause(
    reason="Unschedulable", message="0/3 nodes are available: 3 Insufficient nvidia.com/gpu", passing=True
)
NO_SECRET: Final = StudyCause(reason="SecretMissing", message='secret "registry" not found', object="Secret/registry")


def just_created() -> SimulatedWorld:
    """Looked at for the first time."""
    return SimulatedWorld(spec=study_spec())


def running() -> SimulatedWorld:
    """One trial has ended, two run."""
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 5, "parallelism": 2}))
    world.settle()
    world.now += 12.5
    world.end(0, Outcome.SUCCEEDED, value=0.1 + 0.2)
    world.settle()
    return world


def queued() -> SimulatedWorld:
    """All of its trials wait for room in the cluster."""
    world = SimulatedWorld(spec=study_spec(), accepted_as=Phase.PENDING)
    world.round()
    for trial in world.running():
        world.hold_up(trial.number)
    world.obstruct(NO_ROOM)
    world.settle()
    return world


def suspended() -> SimulatedWorld:
    """Its trials are asked to stop."""
    world = running()
    world.edit(study_spec(suspend=True))
    world.settle()
    return world


def obstructed() -> SimulatedWorld:
    """None of its trials can run before somebody mends something."""
    world = SimulatedWorld(spec=study_spec(), refuses=NO_SECRET)
    world.settle()
    return world


def stalled() -> SimulatedWorld:
    """A trial found it misconfigured; another one still runs."""
    world = running()
    world.end(1, Outcome.CONFIGURATION, reason="ConfigurationError")
    world.settle()
    return world


def stopping() -> SimulatedWorld:
    """It has its verdict, and a trial is still about to stop."""
    world = SimulatedWorld(spec=study_spec(objectives=[{"metric": "val_accuracy", "direction": "maximize", "target": 0.9}]))
    world.settle()
    world.end(0, Outcome.SUCCEEDED, value=0.95)
    world.settle()
    return world


def succeeded() -> SimulatedWorld:
    """It ended with a best trial, of values that are hard to write."""
    world = SimulatedWorld(spec=study_spec(baseline={"repeats": 2}, budget={"maxTrials": 8, "parallelism": 3}))
    values = iter([0.4, 0.6, 0.7, 0.9, 0.8, 1e-300, -1e300, 1 / 3, 0.5, 0.25])
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, next(values)))
    return world


def failed() -> SimulatedWorld:
    """More trials failed than it allows."""
    world = SimulatedWorld(spec=study_spec(budget={"maxTrials": 4, "maxFailedTrials": 0}))
    world.run_to_end(lambda _: (Outcome.FAILED, None))
    return world


WORLDS: Final = (just_created, running, queued, suspended, obstructed, stalled, stopping, succeeded, failed)
