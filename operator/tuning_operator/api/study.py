"""TuningStudy v1alpha1: what a user states. Descriptions are the texts of `kubectl explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tuning_operator.api.base import ApiModel, Duration
from tuning_operator.api.constants import TRAINER_CONTAINER
from tuning_operator.api.parameters import Parameter
from tuning_operator.api.status import StudyStatus

MetricName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_./-]{0,62}$", max_length=63)]
Direction = Literal["maximize", "minimize"]
SamplerName = Literal["auto", "random", "grid", "qmc", "tpe", "gp", "cmaes"]


class Objective(ApiModel):
    """The metric that decides which trial is best."""

    metric: MetricName = Field(description="Name of the metric in the trial's result.")
    direction: Direction = Field(description="maximize for accuracies, minimize for losses and errors.")
    target: float | None = Field(default=None, description="The search ends when a trial reaches this value.")

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


class Baseline(ApiModel):
    """The defaults, run first: the figure to beat."""

    repeats: int = Field(
        default=3, ge=0, le=20, description="How often the defaults run, each time with another seed. 0: no baseline."
    )


class Budget(ApiModel):
    """Bounds of the search. Baseline runs have a count of their own."""

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


class TrialTemplate(ApiModel):
    """The container that trains."""

    gpus: int = Field(default=0, ge=0, le=64, description="GPUs of one trial.")
    timeout: Duration | None = Field(
        default=None, description="An attempt running longer is stopped and the trial counted as failed."
    )
    template: Mapping[str, Any] = Field(
        description="A PodTemplateSpec, passed on as written.", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )

    @model_validator(mode="after")
    def _one_trainer(self) -> Self:
        trainer_container(self.template)
        return self


def trainer_container(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container of a Pod template that is the trial: the only one, or the one named ``trainer``.

    Raises:
        ValueError: there is no such container.
    """
    spec = template.get("spec")
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    if not isinstance(containers, list) or not containers or not all(isinstance(c, Mapping) for c in containers):
        raise ValueError("template.spec.containers is empty; add the container that trains")
    if len(containers) == 1:
        return containers[0]  # type: ignore[no-any-return]
    named: list[Mapping[str, Any]] = [c for c in containers if c.get("name") == TRAINER_CONTAINER]
    if not named:
        names = ", ".join(str(c.get("name")) for c in containers)
        raise ValueError(f"template.spec.containers has {names}; name the one that trains {TRAINER_CONTAINER!r}")
    return named[0]


class StudySpec(ApiModel):
    """A search for the best hyperparameters."""

    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=1, description="What is best. Exactly one for now.")
    parameters: tuple[Parameter, ...] = Field(min_length=1, max_length=48, description="The search space.")
    search: Search = Field(default_factory=Search, description="How the next parameters are chosen.")
    baseline: Baseline = Field(default_factory=Baseline, description="The defaults, run first: the figure to beat.")
    budget: Budget = Field(description="Bounds of the search.")
    retry: Retry = Field(default_factory=Retry, description="What happens to a trial that fails by itself.")
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

    @property
    def objective(self) -> Objective:
        """The one objective."""
        return self.objectives[0]


class ObjectMeta(ApiModel):
    """What the operator reads of metadata; the API server owns the rest."""

    model_config = ApiModel.model_config | {"extra": "ignore"}

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)
    namespace: str = Field(default="default", max_length=63)
    uid: str = ""
    generation: int = 1


class TuningStudy(ApiModel):
    """The resource."""

    api_version: Literal["tuningstudy.dev/v1alpha1"]
    kind: Literal["TuningStudy"]
    metadata: ObjectMeta
    spec: StudySpec
    status: StudyStatus | None = None
