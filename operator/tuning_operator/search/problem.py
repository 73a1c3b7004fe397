"""What a search is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuning_operator.api.parameters import Parameter, Parameters
from tuning_operator.api.seed_trials import seed_configurations
from tuning_operator.api.study import Direction, SamplerName, StudySpec


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a sampler must know of a study. It never changes after the first result."""

    key: str  # one per study object, never used again for another
    parameters: tuple[Parameter, ...]
    direction: Direction
    sampler: SamplerName  # resolved: never auto
    seed: int
    grid_points: int | None
    max_trials: int
    parallelism: int
    seed_trials: tuple[Parameters, ...] = ()  # whole configurations, which come first

    def __post_init__(self) -> None:
        if self.sampler == "auto":
            raise ValueError("sampler 'auto' is a question, not an answer; resolve it with search.auto.choose first")


def problem_of(key: str, spec: StudySpec, sampler: SamplerName) -> Problem:
    """The problem of a study whose sampler was resolved.

    Raises:
        ValueError: the sampler is ``auto``.
    """
    return Problem(
        key=key,
        parameters=spec.parameters,
        direction=spec.objective.direction,
        sampler=sampler,
        seed=spec.search.seed,
        grid_points=spec.search.grid_points,
        max_trials=spec.budget.max_trials,
        parallelism=spec.budget.parallelism,
        seed_trials=seed_configurations(spec.parameters, spec.search.seed_trials),
    )


@dataclass(frozen=True)
class Suggestion:
    """The next configuration.

    ``sampler_state`` holds what the sampler keeps in its trials (Optuna's system attributes, each a JSON text).
    It must come back with the trial: CMA-ES lives in it, and so do the places that running trials occupy.
    """

    parameters: Parameters
    sampler_state: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exhausted:
    """Every configuration of the grid, or of a finite space, has been given."""
