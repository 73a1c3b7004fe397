"""When the search is over, and then the study, and in which words. The first rule that holds decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from tuning_operator.api.base import seconds
from tuning_operator.engine import confirmation, final_evaluation, summary
from tuning_operator.engine.actions import DecideEnd, EndSearch
from tuning_operator.engine.facts import StudyFacts, Trial, TrialState, Verdict
from tuning_operator.engine.policies import stopping
from tuning_operator.engine.tally import tally

Rule = Callable[[StudyFacts, float], Verdict | None]


def policy(facts: StudyFacts, now: float) -> Iterator[EndSearch | DecideEnd]:
    """Record the end of the search once a rule holds, and the verdict at once or after what follows a search that found one."""
    if facts.verdict is not None:
        return
    for rule in RULES if facts.searching else AFTER_SEARCH:
        verdict = rule(facts, now)
        if verdict is not None:
            followed = facts.searching and verdict.succeeded and _something_follows(facts)
            yield EndSearch(verdict=verdict) if followed else DecideEnd(verdict=verdict)
            return


def _something_follows(facts: StudyFacts) -> bool:
    follows = facts.spec.confirmation.repeats > 0 or facts.spec.final_evaluation is not None
    return follows and summary.best(facts) is not None


def deleted(facts: StudyFacts, now: float) -> Verdict | None:
    """Nobody wants its result any more."""
    if not facts.deleted:
        return None
    return Verdict(succeeded=False, reason="Deleted", message="its TuningStudy was deleted before it ended", at=now)


def baseline_failed(facts: StudyFacts, now: float) -> Verdict | None:
    """Not one run of the defaults gave a value: what is searched around them cannot be compared with anything."""
    repeats = facts.spec.baseline.repeats
    trials = summary.baselines(facts)
    if not repeats or len(trials) < repeats or any(not t.finished or t.state is TrialState.COMPLETE for t in trials):
        return None
    message = (
        f"no baseline run gave a value; {_how(trials[-1])}; mend the container or the defaults in spec.parameters, "
        "or set baseline: {repeats: 0}, and start a new study"
    )
    return Verdict(succeeded=False, reason="BaselineFailed", message=message, at=now)


def target_reached(facts: StudyFacts, now: float) -> Verdict | None:
    """A completed search trial, or the mean of the defaults, reaches the target."""
    objective = facts.spec.objective
    best = summary.best(facts)
    if best is not None and best.value is not None and objective.reached(best.value):
        message = f"trial {best.number} reached {objective.metric} {best.value:.6g}, target {objective.target:g}"
        return Verdict(succeeded=True, reason="TargetReached", message=message, at=now)
    base = summary.baseline(facts)
    if base is not None and summary.baseline_done(facts) and objective.reached(base.mean):
        message = f"the defaults already reach {objective.metric} {base.mean:.6g}, target {objective.target:g}"
        return Verdict(succeeded=True, reason="TargetReached", message=message, at=now)
    return None


def too_many_failed(facts: StudyFacts, now: float) -> Verdict | None:
    """More search trials failed by themselves than allowed."""
    limit = facts.spec.budget.max_failed_trials
    told = tally(facts)
    if limit is None or told.faults <= limit or told.last_fault is None:
        return None
    message = f"failed trials: {told.faults}, spec.budget.maxFailedTrials allows {limit}; {_how(told.last_fault)}"
    return Verdict(succeeded=False, reason="TooManyFailedTrials", message=message, at=now)


def all_trials_told(facts: StudyFacts, now: float) -> Verdict | None:
    """The budget of trials is used up, or the sampler has nothing left, and every trial is told."""
    searched = summary.searched(facts)
    full = searched >= facts.spec.budget.max_trials
    if facts.unfinished or not (full or facts.exhausted):
        return None
    reason = "MaxTrialsReached" if full else "SearchSpaceExhausted"
    told = f"{searched} search trials" if full else f"all {searched} configurations of the space were tried"
    return _search_ended(facts, reason, told, now)


def duration_over(facts: StudyFacts, now: float) -> Verdict | None:
    """The study is as old as spec.budget.maxDuration."""
    end = duration_ends_at(facts)
    if end is None or now < end:
        return None
    why = f"spec.budget.maxDuration {facts.spec.budget.max_duration} is over"
    return _search_ended(facts, "MaxDurationReached", why, now)


def duration_ends_at(facts: StudyFacts) -> float | None:
    """When the study is that old; None without a limit."""
    limit = facts.spec.budget.max_duration
    return None if limit is None else facts.began_at + seconds(limit)


def gpu_hours_used(facts: StudyFacts, now: float) -> Verdict | None:
    """The attempts have held GPUs for spec.budget.maxGpuHours."""
    limit = facts.spec.budget.max_gpu_hours
    if limit is None:
        return None
    used = summary.gpu_hours(facts, now)
    if used < limit:
        return None
    return _search_ended(facts, "MaxGpuHoursReached", f"{used:.3g} GPU-hours used, spec.budget.maxGpuHours is {limit:g}", now)


def gpu_hours_end_at(facts: StudyFacts, now: float) -> float | None:
    """When they are used if all that holds GPUs now goes on, to rounding; None without a limit and while nothing holds any.

    What gets its place later makes it earlier, and that is an event.
    """
    limit, gpus = facts.spec.budget.max_gpu_hours, facts.spec.trial.gpus
    held = sum(summary.holds_place(trial.last) for trial in facts.live) * gpus
    if limit is None or not held:
        return None
    return now + (limit - summary.gpu_hours(facts, now)) * summary.HOUR / held


def on_a_plateau(facts: StudyFacts, now: float) -> Verdict | None:
    """The last trials have not improved the best."""
    why = stopping.plateau_reached(facts)
    return None if why is None else _search_ended(facts, "PlateauReached", why, now)


def not_worth_its_cost(facts: StudyFacts, now: float) -> Verdict | None:
    """An hour of the search no longer brings enough."""
    why = stopping.gain_too_small(facts)
    return None if why is None else _search_ended(facts, "MarginalGainTooSmall", why, now)


def follow_up_done(facts: StudyFacts, now: float) -> Verdict | None:
    """What follows the search is done: the search's verdict stands, and says what came out."""
    end = facts.search_end
    spec = facts.spec
    if end is None or facts.unfinished or len(summary.confirmations(facts)) < spec.confirmation.repeats:
        return None
    if len(summary.finals(facts)) < final_evaluation.runs(spec):
        return None
    result = final_evaluation.figures(facts)
    said = (end.message, confirmation.sentence(facts), result.message if result else "")
    return replace(end, message="; ".join(filter(None, said)), at=now)


def _search_ended(facts: StudyFacts, reason: str, why: str, now: float) -> Verdict:
    best = summary.best(facts)
    if best is not None:
        message = f"{why}; best {facts.spec.objective.metric} {best.value:.6g} in trial {best.number}"
        return Verdict(succeeded=True, reason=reason, message=message, at=now)
    last = tally(facts).last_end
    message = f"{why} and no trial gave a value" + (f"; {_how(last)}" if last else "")
    return Verdict(succeeded=False, reason="NoTrialSucceeded", message=message, at=now)


def _how(trial: Trial) -> str:
    return f"trial {trial.number} ended as {trial.reason}" + (f" ({trial.message})" if trial.message else "")


RULES: Final[tuple[Rule, ...]] = (
    deleted,
    baseline_failed,
    target_reached,
    too_many_failed,
    all_trials_told,
    duration_over,
    gpu_hours_used,
    on_a_plateau,
    not_worth_its_cost,
)

AFTER_SEARCH: Final[tuple[Rule, ...]] = (deleted, follow_up_done)
