"""TuningStudy v1alpha1: what the operator answers. Derived from facts at every visit; never a source of truth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from tuning_operator.api.base import ApiModel
from tuning_operator.api.diagnoses import LONGEST_ADVICE, MOST
from tuning_operator.api.parameters import ParameterValue

Phase = Literal["Pending", "Running", "Stalled", "Suspended", "Succeeded", "Failed"]
ConditionType = Literal["Succeeded", "Failed", "Finished", "Suspended", "Reconciling", "Stalled"]
ParameterMap = Annotated[
    dict[str, ParameterValue],
    Field(max_length=48, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]

DiagnosisName = Annotated[str, Field(min_length=1, max_length=41)]


class StatusCondition(ApiModel):
    """A Kubernetes condition. All types are present from the first visit and never removed."""

    type: ConditionType = Field(description="What it is about. Finished is either of Succeeded and Failed.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: str = Field(min_length=1, max_length=128, description="Why, in one word for programs.")
    message: str = Field(default="", max_length=2048, description="Why, in a sentence for people.")
    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that it is said of.")
    last_transition_time: datetime = Field(description="When its status changed last.")


class TrialCounts(ApiModel):
    """How many search trials are in which state; baseline runs are counted by status.baseline."""

    progress: str = Field(default="0/0", max_length=32, description="Finished trials of the budget, such as 31/60.")
    pending: int = Field(default=0, ge=0, description="Started, but their Pod does not run yet.")
    running: int = Field(default=0, ge=0, description="Their Pod runs.")
    succeeded: int = Field(default=0, ge=0, description="Gave a value.")
    pruned: int = Field(default=0, ge=0, description="Ended early because they could not become the best.")
    failed: int = Field(default=0, ge=0, description="Gave no value, after all retries.")
    stopped: int = Field(default=0, ge=0, description="Stopped because the study ended before them.")
    disrupted: int = Field(default=0, ge=0, description="Attempts lost to preemption, eviction or a lost node. Not failures.")


class BaselineStatus(ApiModel):
    """What the defaults reach."""

    value: float = Field(description="Mean over the repeats.")
    stddev: float | None = Field(default=None, description="Standard deviation over the repeats (n - 1); absent for one repeat.")
    repeats: int = Field(ge=0, description="Repeats that gave a value.")


class BestTrial(ApiModel):
    """The best search trial so far."""

    trial: int = Field(ge=0, description="Its number.")
    value: float = Field(description="Its value of the objective.")
    parameters: ParameterMap = Field(description="Its active parameters.")
    diagnoses: tuple[DiagnosisName, ...] = Field(
        default=(), max_length=MOST, description="What was wrong with its training, by the names of status.diagnoses."
    )


class Improvement(ApiModel):
    """The gain over the baseline, turned so that more is better."""

    absolute: float = Field(
        description="Distance from the baseline's value to the best one, or, once Confirmed, to the mean of its fresh runs."
    )
    low: float | None = Field(default=None, description="Lower end of its 95 % interval; absent where it cannot be tested.")
    high: float | None = Field(default=None, description="Upper end.")
    significant: bool | None = Field(
        default=None, description="Whether the interval lies above 0, so that luck alone would hardly give such a gain."
    )
    basis: Literal["Provisional", "Confirmed"] = Field(
        default="Provisional",
        description="Provisional: the best of many single runs is biased upwards. Confirmed: from fresh runs alone.",
    )
    message: str = Field(default="", max_length=512, description="Once Confirmed: what the gain is, in words.")


class ConfirmationStatus(ApiModel):
    """What fresh runs of the winner reach; present once all of them have ended."""

    trial: int = Field(ge=0, description="Number of the winner.")
    value: float = Field(description="Mean over the fresh runs: the honest value of its parameters.")
    stddev: float | None = Field(default=None, description="Standard deviation over them (n - 1); absent for one run.")
    repeats: int = Field(ge=1, description="Fresh runs that gave a value.")
    optimism: float = Field(description="By how much the single value for which it was chosen is better than that mean.")
    basis: str = Field(max_length=512, description="How the winner was chosen.")


class FinalEvaluationStatus(ApiModel):
    """What the untouched test set says; present once all final runs have ended."""

    best: float | None = Field(default=None, description="Mean over the winner's runs; absent if none gave a value.")
    baseline: float | None = Field(default=None, description="Mean over the runs of the defaults.")
    low: float | None = Field(
        default=None, description="Lower end of the 95 % interval of the gain, turned so that more is better; absent if untested."
    )
    high: float | None = Field(default=None, description="Upper end.")
    validation_gap: float | None = Field(
        default=None,
        description="By how much the winner's fresh runs are better on validation rows than on test rows; absent where the "
        "metrics are of another kind.",
    )
    verdict: Literal["Better", "Inconclusive", "Worse"] = Field(description="Of the winner against the defaults.")
    message: str = Field(default="", max_length=512, description="The same in a sentence, and how far it holds.")


class SearchStatus(ApiModel):
    """The sampler in use and why."""

    sampler: str = Field(max_length=32, description="Its name.")
    reason: str = Field(max_length=512, description="Why this one.")


class PruningStatus(ApiModel):
    """The pruner in use and why."""

    pruner: str = Field(max_length=32, description="Its name; none where auto found too few trials.")
    reason: str = Field(max_length=512, description="Why this one.")


class Usage(ApiModel):
    """What the study cost."""

    trial_hours: float = Field(default=0.0, ge=0, description="Hours of all attempts, from start to end.")
    gpu_hours: float = Field(default=0.0, ge=0, description="The same times GPUs.")
    wasted_gpu_hours: float = Field(default=0.0, ge=0, description="Of these, in attempts that failed or were disrupted.")
    saved_gpu_hours: float = Field(
        default=0.0,
        ge=0,
        description="Not spent, thanks to pruning: an estimate, as if each pruned trial had cost what a completed one does.",
    )


class StoppingStatus(ApiModel):
    """How near the rules of spec.stopping are to the end of the search."""

    trials_since_improvement: int = Field(
        ge=0, description="Newest ended trials that together have not improved the best, by more than plateau's minDelta."
    )
    gain_per_gpu_hour: float | None = Field(
        default=None,
        description="What a GPU-hour brings, the larger of the window's slope and what is likely of the next trials.",
    )
    gain_per_trial_hour: float | None = Field(default=None, description="The same for an hour of a trial.")
    threshold: float | None = Field(default=None, description="The search ends when the gain falls below.")
    window_gpu_hours: float | None = Field(default=None, ge=0, description="The cost that the window's slope is taken over.")
    window_hours: float | None = Field(default=None, ge=0, description="The same in trial-hours.")
    message: str = Field(default="", max_length=1024, description="All of it in a sentence.")


class StudyDiagnosis(ApiModel):
    """Something that was wrong with trainings."""

    name: DiagnosisName = Field(description="What, such as overfitting.")
    trials: int = Field(ge=1, description="How many finished trials say so, runs of the defaults included.")
    example: int = Field(ge=0, description="Number of the first of them.")
    figure: float | None = Field(default=None, description="The figure that showed it in the example; absent if not finite.")
    advice: str = Field(default="", max_length=LONGEST_ADVICE, description="What was seen in the example, and what to do.")


class StudyStatus(ApiModel):
    """What is known of the study now."""

    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec that this status answers.")
    phase: Phase = Field(default="Pending", description="The conditions in one word.")
    conditions: tuple[StatusCondition, ...] = Field(
        default=(),
        max_length=16,
        description="All types are present from the first visit.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    trials: TrialCounts = Field(default=TrialCounts(), description="How many search trials are in which state.")
    baseline: BaselineStatus | None = Field(default=None, description="What the defaults reach.")
    best: BestTrial | None = Field(default=None, description="The best search trial so far.")
    top: tuple[BestTrial, ...] = Field(default=(), max_length=5, description="The best search trials, best first.")
    improvement: Improvement | None = Field(default=None, description="The gain over the baseline.")
    confirmation: ConfirmationStatus | None = Field(default=None, description="What fresh runs of the winner reach.")
    final_evaluation: FinalEvaluationStatus | None = Field(default=None, description="What the untouched test set says.")
    diagnoses: tuple[StudyDiagnosis, ...] = Field(
        default=(),
        max_length=MOST,
        description="What was wrong with trainings, that of the most trials first.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    usage: Usage = Field(default=Usage(), description="What the study cost.")
    search: SearchStatus | None = Field(default=None, description="The sampler in use and why.")
    pruning: PruningStatus | None = Field(default=None, description="The pruner in use and why; absent without one.")
    stopping: StoppingStatus | None = Field(default=None, description="How near spec.stopping is; absent without its rules.")
    estimated_completion: datetime | None = Field(default=None, description="When the search will end at today's pace.")
