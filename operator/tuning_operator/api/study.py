"""TuningStudy v1alpha1: what a user states. Descriptions are the texts of `kubectl explain`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from tuning_operator.api.base import METRIC_NAME_PATTERN, ApiModel, Duration, MetricName
from tuning_operator.api.parameters import Parameter
from tuning_operator.api.pruning import Pruning, Validation
from tuning_operator.api.rules import SPACE_RULES, SPEC_RULES
from tuning_operator.api.seed_trials import MOST_SEED_TRIALS, SeedTrial
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.stopping import Stopping
from tuning_operator.api.templates import merged
from tuning_operator.api.trial import TrialTemplate, trainer_container
from tuning_operator.api.validation import Cel, cel_schema, hold, rule
from tuning_operator.api.workflow import Confirmation, FinalEvaluation

__all__ = [
    "METRIC_NAME_PATTERN",
    "Baseline",
    "Budget",
    "Confirmation",
    "Direction",
    "FinalEvaluation",
    "ObjectMeta",
    "Objective",
    "Pruning",
    "Retry",
    "SamplerName",
    "Search",
    "Stopping",
    "StudySpec",
    "TrialTemplate",
    "TuningStudy",
    "Validation",
    "trainer_container",
]

LABEL_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A DNS label (RFC 1123), as the names of Jobs and Pods that are made from it."""
Label = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=63)]

Direction = Literal["maximize", "minimize"]
SamplerName = Literal["auto", "random", "grid", "qmc", "tpe", "gp", "cmaes"]


class Objective(ApiModel):
    """The metric that decides which trial is best."""

    metric: MetricName = Field(description="Name of the metric in the trial's result.")
    direction: Direction = Field(description="maximize for accuracies, minimize for losses and errors.")
    target: float | None = Field(default=None, description="The search ends when a trial reaches this value.")

    RULES = (
        rule(
            lambda o: o.metric != "pruned",
            Cel(
                rule="self.metric != 'pruned'",
                message="metric %s has another meaning in a result; give the metric another name",
                quotes=("metric",),
                field="metric",
            ),
        ),
    )

    @property
    def sign(self) -> Literal[1, -1]:
        """What turns a value so that more is better: -1 where less is."""
        return 1 if self.direction == "maximize" else -1

    def better(self, left: float, right: float) -> bool:
        """Whether the value left is strictly better than right."""
        return left > right if self.direction == "maximize" else left < right

    def reached(self, value: float) -> bool:
        """Whether the value is at the target or beyond it; never without a target."""
        return self.target is not None and not self.better(self.target, value)


class Search(ApiModel):
    """How the next parameters are chosen."""

    sampler: SamplerName = Field(
        default="auto", description="auto chooses by space, budget and parallelism and says why in status."
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Same seed and same order of results: same parameters.")
    grid_points: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="With sampler grid: how many values of each float without a step, and of each int on a log scale.",
    )
    seed_trials: tuple[SeedTrial, ...] = Field(
        default=(),
        max_length=MOST_SEED_TRIALS,
        description="Configurations that are tried first, in this order, such as {learning_rate: 0.01}; parameters that one does "
        "not name are at their defaults. They count in maxTrials.",
    )


class Baseline(ApiModel):
    """The defaults, run first: the figure to beat."""

    repeats: int = Field(
        default=3, ge=0, le=20, description="How often the defaults run, each time with another seed. 0: no baseline."
    )


class Budget(ApiModel):
    """Bounds of the search. Baseline runs, and those that follow the search, have counts of their own."""

    max_trials: int = Field(
        ge=1, le=10_000, description="Exactly this many search trials, unless the study ends earlier for a stated reason."
    )
    parallelism: int = Field(default=1, ge=1, le=1_000, description="Most trials running at once.")
    max_failed_trials: int | None = Field(
        default=None, ge=0, le=10_000, description="The study fails when more search trials than this have failed."
    )
    max_duration: Duration | None = Field(
        default=None, description="The search ends this long after the study began, such as 6h."
    )
    max_gpu_hours: float | None = Field(
        default=None, gt=0, description="The search ends when its trials have held GPUs this long. Needs trial.gpus."
    )


class Retry(ApiModel):
    """What happens to a trial that fails by itself. A preempted trial is not a failed one."""

    failures: int = Field(default=1, ge=0, le=10, description="How often a failed trial is run again with the same parameters.")


class StudySpec(ApiModel):
    """A search for the best hyperparameters."""

    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=1, description="What is best. Exactly one for now.")
    parameters: Annotated[tuple[Parameter, ...], AfterValidator(partial(hold, SPACE_RULES))] = Field(
        min_length=1,
        max_length=48,
        description="The search space.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            **cel_schema(SPACE_RULES),
        },
    )
    search: Search = Field(default=Search(), description="How the next parameters are chosen.")
    pruning: Pruning = Field(default=Pruning(), description="When a hopeless trial is stopped early.")
    validation: Validation | None = Field(
        default=None, description="Cross-validation: a trial is its folds. Without, a trial is one training."
    )
    baseline: Baseline = Field(default=Baseline(), description="The defaults, run first: the figure to beat.")
    confirmation: Confirmation = Field(
        default=Confirmation(), description="Fresh runs of the winner, from which the gain's interval comes."
    )
    final_evaluation: FinalEvaluation | None = Field(
        default=None, description="The winner and the defaults on the untouched test set. Without, nothing is tested."
    )
    budget: Budget = Field(description="Bounds of the search.")
    stopping: Stopping = Field(
        default=Stopping(), description="When the search ends before its budget because more of it is not worth its cost."
    )
    retry: Retry = Field(default=Retry(), description="What happens to a trial that fails by itself.")
    trial: TrialTemplate = Field(description="The container that trains.")
    suspend: bool = Field(
        default=False, description="Stops the running trials and starts none. false resumes them, same trials, same parameters."
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description="The finished study is deleted after this time. No default: GitOps tools re-create what a TTL deletes.",
    )

    RULES = SPEC_RULES

    @property
    def objective(self) -> Objective:
        """The one objective."""
        return self.objectives[0]

    @property
    def final_template(self) -> Mapping[str, Any]:
        """The Pod template of a final run: the trial's, with what is added for the test set."""
        return merged(self.trial.template, self.final_evaluation.template if self.final_evaluation else {})


class ObjectMeta(ApiModel):
    """What the operator reads of metadata; the API server owns the rest."""

    model_config = ApiModel.model_config | {"extra": "ignore"}

    name: Label = Field(description="Name of the study.")
    namespace: Label = Field(default="default", description="Where its trials run.")
    uid: str = Field(default="", max_length=128, description="Tells it from an earlier study of the same name.")
    generation: int = Field(default=1, ge=0, description="Counts changes of the spec.")


class TuningStudy(ApiModel):
    """A search for the best hyperparameters of a training, and what it found."""

    api_version: Literal["tuningstudy.dev/v1alpha1"] = Field(description="Version of this API.")
    kind: Literal["TuningStudy"] = Field(description="Kind of the object.")
    metadata: ObjectMeta = Field(description="Its name and where it lives.")
    spec: StudySpec = Field(description="What is searched, how, with what and for how long.")
    status: StudyStatus | None = Field(default=None, description="What is known of the study now.")
