"""What follows a search, so that its result can be trusted: that part of the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tuning_operator.api.base import ApiModel, MetricName


class Confirmation(ApiModel):
    """Fresh runs of the winner. The best of many single values is partly luck; the gain's interval comes from these alone."""

    repeats: int = Field(
        default=0,
        ge=0,
        le=20,
        description="After the search the best trial's parameters run so often again, each time with another seed; these runs "
        "have a count of their own. 0: the gain stays provisional. 3 or more are recommended, 1 cannot be tested.",
    )


class FinalEvaluation(ApiModel):
    """The winner and the defaults, trained on all search data and tested on data that no other run can see.

    These runs have the role final, and a count of their own.
    """

    metric: MetricName = Field(
        description="Name of the metric in the results of these runs, such as test_accuracy; its direction is the objective's."
    )
    repeats: int = Field(default=3, ge=1, le=20, description="Runs of each of the two, each with another seed.")
    template: Mapping[str, Any] = Field(
        default={},
        max_length=8,
        description="Merged into the Pod template of these runs alone, containers and volumes by their names: such as the volume "
        "with the test data.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
