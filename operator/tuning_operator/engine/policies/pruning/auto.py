"""Which pruner, when the manifest says auto, and why. The figures behind it: docs/decisions/0003-pruning.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tuning_operator.api.pruning import Pruning
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.policies.pruning.rungs import default_first_rung

_FEW: Final = 10
"""Fewer trials have too little to be compared with."""

_MANY: Final = 30
"""From here on rungs have enough trials each to tell good from bad."""

_FACTOR: Final = 3


@dataclass(frozen=True, kw_only=True)
class PrunerChoice:
    """The pruner in use with its settings, and why."""

    pruning: Pruning
    reason: str


def choose(spec: StudySpec) -> PrunerChoice:
    """Resolve the pruner of a study: the manifest's own, or for auto the one that fits the number of trials."""
    asked, trials = spec.pruning, spec.budget.max_trials
    if asked.pruner != "auto":
        return PrunerChoice(pruning=asked, reason="as the manifest says")
    length = asked.max_resource
    assert length is not None, "a rule of the manifest"
    if trials < _FEW:
        few = f"{trials} trials: too few to compare their curves"
        if spec.validation is None:
            return PrunerChoice(pruning=Pruning(), reason=f"{few}, so none is pruned")
        return PrunerChoice(pruning=Pruning(pruner="folds"), reason=f"{few}, so only whole folds are compared")
    if trials < _MANY:
        warm_up = max(1, math.ceil(length / 10))
        reason = f"{trials} trials: too few for rungs, enough for a median, from step {warm_up} on"
        return PrunerChoice(pruning=Pruning(pruner="median", warmup_steps=warm_up), reason=reason)
    first = default_first_rung(length)
    reason = f"{trials} trials: of every {_FACTOR} at a rung one goes on, first at step {first} of {length}"
    return PrunerChoice(pruning=Pruning(pruner="asha", max_resource=length, reduction_factor=_FACTOR), reason=reason)
