"""When a hopeless trial is stopped early, and the folds that it may be judged by: that part of the manifest."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tuning_operator.api.base import ApiModel
from tuning_operator.api.validation import Cel, rule

PrunerName = Literal["none", "auto", "median", "percentile", "asha", "hyperband", "patient", "threshold", "folds"]

LARGEST_STEP: Final = 2**31 - 1
"""The study database keeps steps as 32-bit integers."""

_Step = Annotated[int, Field(ge=1, le=LARGEST_STEP)]


class Pruning(ApiModel):
    """When a trial is hopeless by what it reports, so that its time is better spent. Baseline runs are never pruned.

    Steps are those of the reports, such as epochs; with cross-validation those within a fold.
    """

    pruner: PrunerName = Field(
        default="none",
        description="auto chooses by the number of trials and says why in status. median and percentile compare the best report "
        "so far with those of the completed trials by that step; asha and hyperband let the best 1 / reductionFactor go on at "
        "each rung; patient waits for an improvement; threshold holds to lower and upper; folds compares whole folds alone, "
        "which every other pruner does too where there are any.",
    )
    min_resource: _Step | None = Field(
        default=None, description="asha, hyperband: the first rung, in steps. Default: a ninth of maxResource."
    )
    max_resource: _Step | None = Field(
        default=None, description="asha, hyperband, auto: the last step of a full training, such as its epochs."
    )
    reduction_factor: int = Field(
        default=3, ge=2, le=100, description="asha, hyperband: of so many trials one goes on, to so many times the steps."
    )
    percentile: float | None = Field(
        default=None, ge=1, le=99, description="percentile: so many percent of the completed trials are good enough, such as 25."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="patient: so many reports in a row without an improvement are too many. With median and percentile: a trial "
        "that improves within them goes on.",
    )
    min_delta: float = Field(
        default=0.0, ge=0, le=1e18, description="An improvement by no more than this is none, says patience."
    )
    lower: float | None = Field(default=None, ge=-1e18, le=1e18, description="threshold: a report below is one too many.")
    upper: float | None = Field(default=None, ge=-1e18, le=1e18, description="threshold: a report above is one too many.")
    startup_trials: int = Field(
        default=5, ge=1, le=1_000, description="median, percentile: completed trials before the first one may be pruned."
    )
    warmup_steps: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="median, percentile, patient, threshold: steps that every trial may finish; slow starters need them.",
    )

    RULES = (
        rule(
            lambda p: p.pruner not in {"auto", "asha", "hyperband"} or p.max_resource is not None,
            Cel(
                rule="!(self.pruner in ['auto', 'asha', 'hyperband']) || has(self.maxResource)",
                message="pruner %s needs to know how long a full training is; set maxResource to its last step",
                quotes=("pruner",),
            ),
        ),
        rule(
            lambda p: p.min_resource is None or p.max_resource is None or p.min_resource < p.max_resource,
            Cel(
                rule="!has(self.minResource) || !has(self.maxResource) || self.minResource < self.maxResource",
                message="minResource %s is not below maxResource %s; a trial would be judged at its end only, so lower it",
                quotes=("min_resource", "max_resource"),
            ),
        ),
        rule(
            lambda p: p.pruner != "percentile" or p.percentile is not None,
            Cel(
                rule="self.pruner != 'percentile' || has(self.percentile)",
                message="pruner percentile needs to know which; set percentile, such as 25 for the best quarter",
            ),
        ),
        rule(
            lambda p: p.pruner != "patient" or p.patience is not None,
            Cel(
                rule="self.pruner != 'patient' || has(self.patience)",
                message="pruner patient needs to know for how long; set patience to a number of reports",
            ),
        ),
        rule(
            lambda p: p.pruner != "threshold" or p.lower is not None or p.upper is not None,
            Cel(
                rule="self.pruner != 'threshold' || has(self.lower) || has(self.upper)",
                message="pruner threshold has no threshold; set lower or upper",
            ),
        ),
        rule(
            lambda p: p.lower is None or p.upper is None or p.lower < p.upper,
            Cel(
                rule="!has(self.lower) || !has(self.upper) || self.lower < self.upper",
                message="lower %s is not below upper %s; swap them, or drop one",
                quotes=("lower", "upper"),
            ),
        ),
    )


class Validation(ApiModel):
    """Cross-validation: every trial is trained once for each fold, and the objective is the mean over them."""

    folds: int = Field(
        ge=2, le=100, description="How many: a trial is told by TUNING_FOLDS and trains them one after another, always the same."
    )
    strict_folds: bool = Field(
        default=False,
        description="Prunes by folds only what is worse than the best trial on each fold, and on two at least: for metrics that "
        "single folds distort, such as those of few rows.",
    )
