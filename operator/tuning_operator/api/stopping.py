"""When a search ends before its budget because more of it is not worth its cost: that part of the manifest."""

from __future__ import annotations

from pydantic import Field

from tuning_operator.api.base import ApiModel
from tuning_operator.api.validation import Cel, rule


class Plateau(ApiModel):
    """The search ends when its last trials have not improved the best."""

    patience: int = Field(
        default=30,
        ge=1,
        le=10_000,
        description="So many ended trials without an improvement are too many. Below 20 a lull is often taken for the end.",
    )
    min_delta: float | None = Field(
        default=None,
        ge=0,
        le=1e18,
        description="An improvement by no more than this, over all of patience, is none. Default: the standard deviation of the "
        "baseline's runs, of which two at least must give a value.",
    )


class MarginalGain(ApiModel):
    """The search ends when an hour of it no longer brings enough, by its last trials and by what is likely of the next ones."""

    min_improvement_per_gpu_hour: float | None = Field(
        default=None, gt=0, le=1e18, description="The search ends below this improvement of the objective. Needs trial.gpus."
    )
    min_improvement_per_trial_hour: float | None = Field(
        default=None, gt=0, le=1e18, description="The same for each hour of a trial, whatever GPUs it holds, if any."
    )
    window_gpu_hours: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="Its gain is that of so much newest cost, and of 30 mean trials at least, which is the default.",
    )
    window_hours: float | None = Field(
        default=None, gt=0, le=1e9, description="The same in trial-hours, with minImprovementPerTrialHour."
    )
    min_trials: int = Field(
        default=20, ge=1, le=10_000, description="It is not judged before so many have ended, nor before 30 + parallelism have."
    )

    RULES = (
        rule(
            lambda m: (m.min_improvement_per_gpu_hour is None) != (m.min_improvement_per_trial_hour is None),
            Cel(
                rule="has(self.minImprovementPerGpuHour) != has(self.minImprovementPerTrialHour)",
                message="how much an hour must bring is not clear; give exactly one of minImprovementPerGpuHour, "
                "minImprovementPerTrialHour",
            ),
        ),
        rule(
            lambda m: m.window_gpu_hours is None or m.min_improvement_per_trial_hour is None,
            Cel(
                rule="!has(self.windowGpuHours) || !has(self.minImprovementPerTrialHour)",
                message="windowGpuHours %s does not go with minImprovementPerTrialHour; use windowHours",
                quotes=("window_gpu_hours",),
            ),
        ),
        rule(
            lambda m: m.window_hours is None or m.min_improvement_per_gpu_hour is None,
            Cel(
                rule="!has(self.windowHours) || !has(self.minImprovementPerGpuHour)",
                message="windowHours %s does not go with minImprovementPerGpuHour; use windowGpuHours",
                quotes=("window_hours",),
            ),
        ),
    )

    @property
    def by_gpu(self) -> bool:
        """Whether it counts GPU-hours, and not hours of trials."""
        return self.min_improvement_per_gpu_hour is not None

    @property
    def threshold(self) -> float:
        """Improvement of the objective that one of its hours must bring."""
        per_hour = self.min_improvement_per_gpu_hour or self.min_improvement_per_trial_hour
        assert per_hour is not None, "one of them is given"
        return per_hour

    @property
    def window(self) -> float:
        """The least that the window spans, in its hours; 0 where nothing is asked for."""
        return self.window_gpu_hours or self.window_hours or 0.0


class Stopping(ApiModel):
    """When the search ends before its budget. What runs then is stopped. May be changed at any time."""

    plateau: Plateau | None = Field(default=None, description="Ends it when the last trials have not improved the best.")
    marginal_gain: MarginalGain | None = Field(default=None, description="Ends it when an hour no longer brings enough.")
