"""Which sampler, when the manifest says auto, and why. The figures behind it: docs/decisions/0002-auto-sampler.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuning_operator.api.grid import needs_points, size
from tuning_operator.api.parameters import Parameter
from tuning_operator.api.study import SamplerName, StudySpec
from tuning_operator.engine.facts import SamplerChoice
from tuning_operator.search import discrete
from tuning_operator.search.blocks import SEQUENCES

MOST_GP_TRIALS: Final = 300
"""With more trials the cubic cost of a Gaussian process shows: half a second an ask at 400, 1.5 s at 800."""

_WITHOUT_MODEL: Final = SEQUENCES | {"random"}
_STARTUP_TRIALS: Final = 10  # as in samplers.STARTUP_TRIALS, which this process cannot import


def choose(spec: StudySpec) -> SamplerChoice:
    """Resolve the sampler of a study: the manifest's own, or for auto the first rule that fits."""
    sampler, reason = _resolved(spec)
    return SamplerChoice(sampler=sampler, reason=reason + _seeded(spec) + _each_once(sampler, spec) + _warning(sampler, spec))


def _resolved(spec: StudySpec) -> tuple[SamplerName, str]:
    trials, at_once = spec.budget.max_trials, spec.budget.parallelism
    if spec.search.sampler != "auto":
        return spec.search.sampler, "as the manifest says"
    configurations = _configurations(spec.parameters)
    if configurations is not None and configurations <= trials:
        return "grid", f"the space has {configurations} configurations and maxTrials is {trials}: each is tried once"
    if trials <= _STARTUP_TRIALS + at_once:
        return "qmc", f"{_trials(trials, at_once)}: too few results for a model, so quasi-random points that cover the space"
    if any(parameter.when for parameter in spec.parameters):
        return "tpe", f"conditional space, {_trials(trials, at_once)}: TPE models each branch"
    if trials <= MOST_GP_TRIALS:
        return "gp", f"unconditional space, {_trials(trials, at_once)}: a Gaussian process needs the fewest trials"
    return "tpe", f"{_trials(trials, at_once)}: with more than {MOST_GP_TRIALS} a Gaussian process is slow, TPE is not"


def _configurations(parameters: Sequence[Parameter]) -> int | None:
    return None if any(map(needs_points, parameters)) else size(parameters, None)


def _trials(trials: int, at_once: int) -> str:
    return f"{trials} trials, {at_once} at once"


def _seeded(spec: StudySpec) -> str:
    count = len(spec.search.seed_trials)
    return f"; {count} of search.seedTrials come first" if count else ""


def _each_once(sampler: SamplerName, spec: StudySpec) -> str:
    if sampler == "grid" or not discrete.finite(spec.parameters):
        return ""
    return "; the space is finite: no configuration is tried twice, and the search ends when none is left"


def _warning(sampler: SamplerName, spec: StudySpec) -> str:
    trials, at_once = spec.budget.max_trials, spec.budget.parallelism
    if sampler in _WITHOUT_MODEL or at_once == 1 or at_once * 10 <= trials:
        return ""
    return (
        f"; parallelism {at_once} is more than a tenth of maxTrials {trials}, which costs more quality than any choice "
        "of sampler: lower it if time allows"
    )
