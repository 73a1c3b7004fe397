"""What follows a search, so that its result can be trusted: that part of the manifest."""

from __future__ import annotations

from pydantic import Field

from tuning_operator.api.base import ApiModel


class Confirmation(ApiModel):
    """Fresh runs of the winner. The best of many single values is partly luck; the gain's interval comes from these alone."""

    repeats: int = Field(
        default=0,
        ge=0,
        le=20,
        description="After the search the best trial's parameters run so often again, each time with another seed; these runs "
        "have a count of their own. 0: the gain stays provisional. 3 or more are recommended, 1 cannot be tested.",
    )
