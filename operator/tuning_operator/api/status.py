"""TuningStudy v1alpha1: what the operator answers. Derived from facts at every visit; never a source of truth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from tuning_operator.api.base import ApiModel
from tuning_operator.api.parameters import ParameterValue

Phase = Literal["Pending", "Running", "Suspended", "Succeeded", "Failed"]
ConditionType = Literal["Succeeded", "Failed", "Finished", "Suspended", "Reconciling", "Stalled"]
ParameterMap = Annotated[
    dict[str, ParameterValue],
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]


class StatusCondition(ApiModel):
    """A Kubernetes condition. All types are present from the first visit and never removed."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(min_length=1, max_length=128)
    message: str = Field(default="", max_length=2048)
    observed_generation: int = Field(default=0, ge=0)
    last_transition_time: datetime


class TrialCounts(ApiModel):
    """How many search trials are in which state; baseline runs are counted by status.baseline."""

    progress: str = Field(default="0/0", max_length=32, description="Finished trials of the budget, such as 31/60.")
    pending: int = Field(default=0, ge=0, description="Started, but their Pod does not run yet.")
    running: int = Field(default=0, ge=0)
    succeeded: int = Field(default=0, ge=0)
    pruned: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    stopped: int = Field(default=0, ge=0, description="Stopped because the study ended before them.")
    disrupted: int = Field(default=0, ge=0, description="Attempts lost to preemption, eviction or a lost node. Not failures.")


class BaselineStatus(ApiModel):
    """What the defaults reach."""

    value: float = Field(description="Mean over the repeats.")
    stddev: float | None = Field(default=None, description="Standard deviation over the repeats (n - 1); absent for one repeat.")
    repeats: int = Field(ge=0, description="Repeats that gave a value.")


class BestTrial(ApiModel):
    """The best search trial so far."""

    trial: int = Field(ge=0)
    value: float
    parameters: ParameterMap


class Improvement(ApiModel):
    """The gain over the baseline, turned so that more is better."""

    absolute: float
    basis: Literal["Provisional"] = Field(
        default="Provisional", description="Provisional: the best of many single runs is biased upwards."
    )


class SearchStatus(ApiModel):
    """The sampler in use and why."""

    sampler: str = Field(max_length=32)
    reason: str = Field(max_length=512)


class Usage(ApiModel):
    """What the study cost."""

    trial_hours: float = Field(default=0.0, ge=0, description="Hours of all attempts, from start to end.")
    gpu_hours: float = Field(default=0.0, ge=0, description="The same times GPUs.")
    wasted_gpu_hours: float = Field(default=0.0, ge=0, description="Of these, in attempts that failed or were disrupted.")


class StudyStatus(ApiModel):
    """What is known of the study now."""

    observed_generation: int = Field(default=0, ge=0)
    phase: Phase = "Pending"
    conditions: tuple[StatusCondition, ...] = Field(
        default=(), max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )
    trials: TrialCounts = Field(default_factory=TrialCounts)
    baseline: BaselineStatus | None = None
    best: BestTrial | None = None
    top: tuple[BestTrial, ...] = Field(default=(), max_length=5)
    improvement: Improvement | None = None
    usage: Usage = Field(default_factory=Usage)
    search: SearchStatus | None = None
    estimated_completion: datetime | None = None
