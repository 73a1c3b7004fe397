"""From facts to actions: the policies in their order. The order is the design; read it as a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tuning_operator.engine.actions import Action
from tuning_operator.engine.after import after
from tuning_operator.engine.facts import StudyFacts
from tuning_operator.engine.policies import (
    baseline,
    conclude,
    confirm,
    expiry,
    final,
    mend,
    pruning,
    release,
    resume,
    search,
    start,
    stop,
    timeout,
    verdict,
)

Policy = Callable[[StudyFacts, float], Iterable[Action]]

POLICIES: Final[tuple[Policy, ...]] = (
    # What has happened is written down first: an ended attempt, and with it perhaps its trial.
    conclude.policy,
    # Is the search over? Target, budget, failures, nothing left to try. That is recorded once and stays, and so is the
    # verdict, after what follows the search.
    verdict.policy,
    # Search trials after the search, all trials after the verdict or while suspended: what runs is stopped, what waits is told.
    stop.policy,
    # What is held up by a mistake in the spec starts anew once the spec has been edited.
    mend.policy,
    # An attempt over its time limit is stopped.
    timeout.policy,
    # A trial that is hopeless by its reports is stopped.
    pruning.policy,
    # Attempts claimed before a crash, and never started, start now: they hold their slots already.
    start.policy,
    # Interrupted and failed trials come before new ones: same number, same parameters, next attempt.
    resume.policy,
    # The defaults run before any search trial: the figure to beat.
    baseline.policy,
    # Free slots are filled with search trials, exactly as many as the budget says.
    search.policy,
    # Once the search is over and its winner stands, the winner runs again with fresh seeds.
    confirm.policy,
    # Last, the winner and the defaults meet the test set.
    final.policy,
    # What is written down need not be kept by the runtime any more. This is in nobody's way, and gets out of everybody's.
    release.policy,
    # A finished study goes when its time to live is over.
    expiry.policy,
)


def decide(facts: StudyFacts, now: float, *, policies: Iterable[Policy] = POLICIES) -> tuple[Action, ...]:
    """What to do next for a study, in order.

    Pure and level-triggered: with its actions carried out, and nothing else happening, it decides nothing.
    An action whose effect turns out otherwise than `after` says, such as a sampler that is exhausted, ends the round:
    the rest was decided on facts that do not hold, and the controller looks again.
    """
    actions: list[Action] = []
    for policy in policies:
        taken = tuple(policy(facts, now))
        actions += taken
        facts = after(facts, taken, now)
    return tuple(actions)
