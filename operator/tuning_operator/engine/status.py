"""The study's status as its facts imply it. A projection: it can be thrown away and made again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from tuning_operator.api import diagnoses
from tuning_operator.api.status import (
    BaselineStatus,
    BestTrial,
    ConditionType,
    ConfirmationStatus,
    FinalEvaluationStatus,
    Improvement,
    Phase,
    PruningStatus,
    SearchStatus,
    StatusCondition,
    StoppingStatus,
    StudyDiagnosis,
    StudyStatus,
    TrialCounts,
    Usage,
)
from tuning_operator.engine import confirmation, final_evaluation, summary
from tuning_operator.engine import facts as f
from tuning_operator.engine.facts import Role, SamplerChoice, StudyCause, StudyFacts, Trial, TrialState
from tuning_operator.engine.generalization import large_batch_gap
from tuning_operator.engine.policies import stopping
from tuning_operator.engine.policies.pruning import auto
from tuning_operator.engine.tally import disruptions, tally

_MESSAGE_LIMIT = 2048
_SUSPENDED_BY_USER = "SuspendedByUser"


def project(
    facts: StudyFacts, now: float, *, choice: SamplerChoice | None = None, previous: StudyStatus | None = None
) -> StudyStatus:
    """The status at this moment.

    Args:
        facts: what is known.
        now: seconds since the epoch.
        choice: the sampler in use, once resolved.
        previous: the status before; a condition that has not changed keeps its transition time.
    """
    base, confirmed = summary.baseline(facts), confirmation.confirmed(facts)
    top = tuple(_best(trial) for trial in summary.top(facts))
    return StudyStatus(
        observed_generation=facts.generation,
        phase=phase(facts),
        conditions=_conditions(facts, now, previous),
        trials=_counts(facts),
        baseline=_baseline(base) if base else None,
        best=top[0] if top else None,
        top=top,
        improvement=_confirmed_gain(confirmed) or _improvement(facts),
        confirmation=_confirmation(facts, confirmed) if confirmed else None,
        final_evaluation=_final_evaluation(facts),
        diagnoses=_diagnoses(facts),
        usage=_usage(facts, now),
        search=SearchStatus(sampler=choice.sampler, reason=choice.reason) if choice else None,
        pruning=_pruning(facts),
        stopping=_stopping(facts),
        estimated_completion=_estimated_completion(facts, now),
    )


def project_refused(cause: StudyCause, now: float, *, generation: int, previous: StudyStatus | None = None) -> StudyStatus:
    """The status of a study that cannot begin: of its spec nothing can be said but what is wrong with it.

    Args:
        cause: what is wrong.
        now: seconds since the epoch.
        generation: of the spec that was looked at.
        previous: the status before.
    """
    states: Mapping[ConditionType, _State] = {
        "Succeeded": _State("False", "NotFinished"),
        "Failed": _State("False", "NotFinished"),
        "Finished": _State("False", "NotFinished"),
        "Suspended": _State("False", "NotSuspended"),
        "Reconciling": _State("False", cause.reason),
        "Stalled": _State("True", cause.reason, _said(cause)),
    }
    return StudyStatus(observed_generation=generation, phase="Stalled", conditions=_all(states, generation, now, previous))


def phase(facts: StudyFacts) -> Phase:
    """Where the study is, in one word."""
    if facts.finished_at is not None and facts.verdict is not None:
        return "Succeeded" if facts.verdict.succeeded else "Failed"
    if facts.spec.suspend and facts.verdict is None:
        return "Suspended"
    if _why_stalled(facts, done=False).status == "True":
        return "Stalled"
    return "Running" if facts.trials or facts.verdict is not None else "Pending"


@dataclass(frozen=True)
class _State:
    status: Literal["True", "False"]
    reason: str
    message: str = ""


def _conditions(facts: StudyFacts, now: float, previous: StudyStatus | None) -> tuple[StatusCondition, ...]:
    return _all(_states(facts), facts.generation, now, previous)


def _all(
    states: Mapping[ConditionType, _State], generation: int, now: float, previous: StudyStatus | None
) -> tuple[StatusCondition, ...]:
    before = {condition.type: condition for condition in previous.conditions} if previous else {}
    return tuple(_condition(kind, state, before.get(kind), generation, now=now) for kind, state in states.items())


def _states(facts: StudyFacts) -> Mapping[ConditionType, _State]:
    """Every condition of the API, in its order: who waits and who alerts reads these, not the phase."""
    verdict, done = facts.verdict, facts.finished_at is not None
    suspended = facts.spec.suspend and verdict is None
    stalled = _why_stalled(facts, done=done)
    succeeded = done and verdict is not None and verdict.succeeded
    reason, message = (verdict.reason, verdict.message) if verdict and done else ("NotFinished", "")
    return {
        "Succeeded": _State("True", reason, message) if succeeded else _State("False", "StudyFailed" if done else reason),
        "Failed": _State("True", reason, message)
        if done and not succeeded
        else _State("False", "StudySucceeded" if done else reason),
        "Finished": _State(_bool(done), reason, message),
        "Suspended": _State(_bool(suspended), _SUSPENDED_BY_USER if suspended else "NotSuspended"),
        "Reconciling": _progress(facts, done=done, stalled=stalled),
        "Stalled": stalled,
    }


def _bool(value: object) -> Literal["True", "False"]:
    """A condition's status as Kubernetes writes it."""
    return "True" if value else "False"


def _why_stalled(facts: StudyFacts, *, done: bool) -> _State:
    """What a person must do something about. A failed study is such a thing too: tools that roll out manifests look here."""
    if facts.verdict is not None:
        failed = done and not facts.verdict.succeeded
        return _State("True", "StudyFailed", facts.verdict.message) if failed else _State("False", "NotStalled")
    if (trial := facts.stalled) is not None and trial.last.ended is not None:
        return _State("True", trial.last.ended.reason, f"trial {trial.number}: {trial.last.ended.message}")
    cause = next((cause for cause in facts.causes if not cause.passing), None)
    return _State("True", cause.reason, _said(cause)) if cause else _State("False", "NotStalled")


def _progress(facts: StudyFacts, *, done: bool, stalled: _State) -> _State:
    """How far it is, or for what it waits that will pass by itself."""
    if done:
        return _State("False", "Finished")
    if facts.verdict is not None:
        return _State("True", "StoppingTrials")
    if facts.spec.suspend:
        return _State("False", _SUSPENDED_BY_USER)
    if stalled.status == "True":
        return _State("False", stalled.reason)
    return _under_way(facts)


def _under_way(facts: StudyFacts) -> _State:
    if facts.causes:
        return _State("True", facts.causes[0].reason, _said(facts.causes[0]))
    if not facts.searching:
        return _following_up(facts)
    if summary.baseline_done(facts):
        return _State("True", "Searching")
    ended = len(tally(facts).baselines)
    return _State("True", "RunningBaseline", f"{ended} of {facts.spec.baseline.repeats} runs of the defaults have ended")


def _following_up(facts: StudyFacts) -> _State:
    winner, ended = summary.winner(facts), len(tally(facts).confirmations)
    if winner is None:
        return _State("True", "StoppingTrials")
    if ended >= facts.spec.confirmation.repeats:
        tested = f"{len(tally(facts).finals)} of {final_evaluation.runs(facts.spec)} runs on the test set have ended"
        return _State("True", "Testing", tested)
    runs = f"{ended} of {facts.spec.confirmation.repeats} fresh runs of trial {winner.number} have ended"
    return _State("True", "Confirming", runs)


def _said(cause: StudyCause) -> str:
    return f"{cause.object}: {cause.message}" if cause.object else cause.message


def _condition(
    kind: ConditionType, state: _State, before: StatusCondition | None, generation: int, *, now: float
) -> StatusCondition:
    unchanged = before is not None and before.status == state.status
    return StatusCondition(
        type=kind,
        status=state.status,
        reason=state.reason,
        message=state.message[:_MESSAGE_LIMIT],
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and unchanged else _when(now),
    )


def _counts(facts: StudyFacts) -> TrialCounts:
    told, going_on = tally(facts), [trial for trial in facts.unfinished if trial.role is Role.SEARCH]
    running = sum(map(_runs, going_on))
    return TrialCounts(
        progress=f"{told.search}/{facts.spec.budget.max_trials}",
        pending=len(going_on) - running,
        running=running,
        succeeded=told.states[TrialState.COMPLETE],
        pruned=told.states[TrialState.PRUNED],
        failed=told.states[TrialState.FAIL] - told.stopped,
        stopped=told.stopped,
        disrupted=told.disruptions + sum(map(disruptions, going_on)),
    )


def _runs(trial: Trial) -> bool:
    seen = trial.last.observed
    return trial.last.live and seen is not None and seen.phase is f.Phase.RUNNING


def _figure(value: float) -> float:
    """As many digits as a 32-bit float has, for people's eyes; the database keeps all of them."""
    return float(f"{value:.7g}")


def _finite(figure: float | None) -> float | None:
    """JSON has no other."""
    return _figure(figure) if figure is not None and math.isfinite(figure) else None


def _baseline(figures: summary.BaselineFigures) -> BaselineStatus:
    spread = None if figures.stddev is None else _figure(figures.stddev)
    return BaselineStatus(value=_figure(figures.mean), stddev=spread, repeats=figures.repeats)


def _best(trial: Trial) -> BestTrial:
    assert trial.value is not None, "a ranked trial is complete"
    return BestTrial(
        trial=trial.number,
        value=_figure(trial.value),
        parameters=dict(trial.parameters),
        diagnoses=tuple(diagnosis.name for diagnosis in trial.diagnoses),
    )


def _diagnoses(facts: StudyFacts) -> tuple[StudyDiagnosis, ...]:
    named = dict(tally(facts).diagnoses)
    if (gap := large_batch_gap(facts)) is not None:
        named[gap.diagnosis.name] = gap
    ranked = sorted(named.items(), key=lambda item: (-item[1].trials, item[1].example, item[0]))
    return tuple(
        StudyDiagnosis(
            name=name,
            trials=found.trials,
            example=found.example,
            figure=_finite(found.diagnosis.figure),
            advice=found.diagnosis.advice,
        )
        for name, found in ranked[: diagnoses.MOST]
    )


def _improvement(facts: StudyFacts) -> Improvement | None:
    base, best = summary.baseline(facts), summary.best(facts)
    if base is None or best is None or best.value is None:
        return None
    return Improvement(absolute=_figure(facts.spec.objective.sign * (best.value - base.mean)))


def _confirmed_gain(found: confirmation.Confirmed | None) -> Improvement | None:
    if found is None or found.gain is None or not math.isfinite(found.gain):
        return None
    return Improvement(
        absolute=_figure(found.gain),
        low=_figure(found.interval.low) if found.interval else None,
        high=_figure(found.interval.high) if found.interval else None,
        significant=found.significant if found.interval else None,
        basis="Confirmed",
        message=confirmation.verdict(found),
    )


def _confirmation(facts: StudyFacts, found: confirmation.Confirmed) -> ConfirmationStatus:
    completed = tally(facts).states[TrialState.COMPLETE]
    return ConfirmationStatus(
        trial=found.winner.number,
        value=_figure(found.mean),
        stddev=_finite(found.stddev),
        repeats=len(found.values),
        optimism=_figure(found.optimism),
        basis=f"the best of {completed} single values of the search; its own value, for which it was chosen, is not in the mean",
    )


def _final_evaluation(facts: StudyFacts) -> FinalEvaluationStatus | None:
    found = final_evaluation.figures(facts)
    if found is None:
        return None
    return FinalEvaluationStatus(
        best=_finite(found.best),
        baseline=_finite(found.baseline),
        low=_finite(found.interval.low) if found.interval else None,
        high=_finite(found.interval.high) if found.interval else None,
        validation_gap=_finite(found.validation_gap),
        verdict=found.outcome,
        message=found.message,
    )


def _pruning(facts: StudyFacts) -> PruningStatus | None:
    if facts.spec.pruning.pruner == "none":
        return None
    choice = auto.choose(facts.spec)
    return PruningStatus(pruner=choice.pruning.pruner, reason=choice.reason)


def _stopping(facts: StudyFacts) -> StoppingStatus | None:
    if not (message := stopping.outlook(facts)):
        return None
    rule, found = facts.spec.stopping.marginal_gain, stopping.marginal_gain(facts)
    per_hour, window = (_figure(found.per_hour), _figure(found.window)) if found else (None, None)
    by_gpu = rule is not None and rule.by_gpu
    return StoppingStatus(
        trials_since_improvement=stopping.stagnation(facts),
        gain_per_gpu_hour=per_hour if by_gpu else None,
        gain_per_trial_hour=None if by_gpu else per_hour,
        threshold=rule.threshold if rule else None,
        window_gpu_hours=window if by_gpu else None,
        window_hours=None if by_gpu else window,
        message=message,
    )


def _usage(facts: StudyFacts, now: float) -> Usage:
    gpus = facts.spec.trial.gpus
    return Usage(
        trial_hours=round(summary.trial_hours(facts, now), 6),
        gpu_hours=round(summary.gpu_hours(facts, now), 6),
        wasted_gpu_hours=round(summary.wasted(facts) * gpus, 6),
        saved_gpu_hours=round(summary.saved(facts) * gpus, 6),
    )


def _estimated_completion(facts: StudyFacts, now: float) -> datetime | None:
    """Remaining trials in waves of the parallelism, each as long as the mean finished trial."""
    if facts.halted or facts.causes or not facts.slots:
        return None
    told, spec = tally(facts), facts.spec
    if not told.trials:
        return None
    left = spec.confirmation.repeats + final_evaluation.runs(spec) - len(told.confirmations) - len(told.finals)
    if facts.searching:
        left += spec.budget.max_trials + spec.baseline.repeats - told.trials
    waves = math.ceil(max(left, 0) / facts.slots)
    return _when(now + waves * told.seconds / told.trials)


def _when(at: float) -> datetime:
    """A time as Kubernetes writes it: whole seconds, UTC."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=round(at))
