"""Which spec of a study holds: the stored one stands where an edit would mix what cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence

from tuning_operator.api.changes import frozen_changes
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import SamplerChoice, Trial
from tuning_operator.search.auto import choose
from tuning_operator.store.ledger import Ledger


def refused_changes(before: StudySpec, spec: StudySpec, trials: Sequence[Trial]) -> tuple[str, ...]:
    """A sentence for each change that is too late. A container that gave no result yet may still be mended.

    Args:
        before: the stored spec.
        spec: as it was edited.
        trials: of the study.
    """
    if not trials:
        # The database knows the direction from the begin, and nothing else yet.
        objective = before.objective.model_copy(update={"direction": spec.objective.direction})
        spec = before.model_copy(update={"objectives": (objective,)})
    elif not any(trial.finished for trial in trials):
        spec = spec.model_copy(update={"trial": before.trial})
    return frozen_changes(before, spec)


def settle(
    ledger: Ledger, before: StudySpec, spec: StudySpec, *, choice: SamplerChoice | None, trials: Sequence[Trial]
) -> SamplerChoice:
    """Store an accepted spec, and the sampler in use, which is resolved once: it stands from the first trial on.

    Raises:
        StoreError: neither is known to be stored.
    """
    if before != spec:
        ledger.save_spec(spec.model_dump_json())
    if choice is not None and trials:
        return choice
    resolved = choose(spec)
    if resolved != choice:
        ledger.save_choice(resolved)
    return resolved
