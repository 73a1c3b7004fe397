"""The report's first page in words: what was sought, what came out, and how far to trust it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tuning_operator.api.status import ConfirmationStatus, Improvement, StatusCondition
from tuning_operator.report.markup import Child, Html, element
from tuning_operator.report.record import StudyRecord
from tuning_operator.report.words import count, duration, gained, listed, number, score, spread

_HOUR: Final = 3600
_ENDS: Final = ("Succeeded", "Failed", "Stalled", "Suspended", "Reconciling")
"""Conditions from the most telling to the least; the first that is true says how the study stands."""


def opening(record: StudyRecord) -> Html:
    """Headline, key figures, and the paragraphs that explain them."""
    metadata = record.manifest.metadata
    return element(
        "header",
        element("p", f"Tuning study {metadata.name} in namespace {metadata.namespace}", class_="eyebrow"),
        element("h1", _headline(record)),
        element("p", _sought(record), class_="lead"),
        _key_figures(record),
        *(
            element("p", sentence)
            for sentence in (_trust(record), _tested(record), _failures(record), _diagnosed(record))
            if sentence
        ),
        _ending(record),
    )


def _headline(record: StudyRecord) -> str:
    status, metric = record.status, record.objective.metric
    if status.best is None:
        return "No trial has given a value yet" if status.phase not in {"Succeeded", "Failed"} else "No trial gave a value"
    value = status.confirmation.value if status.confirmation else status.best.value
    best = f"{metric} {score(value)}"
    if status.improvement is None:
        return f"Best {best}, with no baseline to compare"
    gain = status.improvement.absolute
    if gain <= 0:
        return f"No better than the defaults: {best}"
    side = "above" if record.objective.direction == "maximize" else "below"
    luck = ", which may be luck" if status.improvement.significant is False else ""
    return f"{best}: {gained(gain, value=value)} {side} the defaults{luck}"


def _sought(record: StudyRecord) -> str:
    spec, status = record.spec, record.status
    extreme = "highest" if record.objective.direction == "maximize" else "lowest"
    target = f" (target {number(record.objective.target)})" if record.objective.target is not None else ""
    text = f"Sought: the {extreme} {record.objective.metric}{target} over {count(len(spec.parameters), 'hyperparameter')}. "
    if status.baseline:
        repeats = status.baseline.repeats
        how = f"the mean of {repeats} runs with different seeds" if repeats > 1 else "a single run"
        text += f"The defaults reach {spread(status.baseline.value, status.baseline.stddev)}, {how}. "
    if status.best:
        text += f"The best of {count(status.trials.succeeded, 'completed trial')}, number {status.best.trial}, "
        text += f"reaches {score(status.best.value)}."
    return text.strip()


def _key_figures(record: StudyRecord) -> Html:
    status = record.status
    baseline, best, gain, usage = status.baseline, status.best, status.improvement, status.usage
    none = "\N{EN DASH}"
    tiles = [
        ("Baseline", score(baseline.value) if baseline else none, _scatter(record)),
        ("Best", score(best.value) if best else none, f"trial {best.trial}" if best else "no trial with a value"),
        ("Gain", _gain(record) or none, _gain_note(gain)),
        ("Search trials", status.trials.progress, _counted(record)),
    ]
    if usage.gpu_hours:
        saved = f"; pruning saved about {duration(usage.saved_gpu_hours * _HOUR)}" if usage.saved_gpu_hours else ""
        wasted = f"{duration(usage.wasted_gpu_hours * _HOUR)} of it wasted{saved}"
        tiles.append(("GPU time", duration(usage.gpu_hours * _HOUR), wasted))
    else:
        tiles.append(("Trial time", duration(usage.trial_hours * _HOUR), "all attempts together"))
    return element("dl", *(_tile(*tile) for tile in tiles), class_="tiles")


def _gain(record: StudyRecord) -> str | None:
    gain, best = record.status.improvement, record.status.best
    if gain is None or best is None:
        return None
    return ("+" if gain.absolute > 0 else "") + gained(gain.absolute, value=best.value)


def _gain_note(gain: Improvement | None) -> str:
    if gain is None:
        return "nothing to compare"
    if gain.low is None or gain.high is None:
        return gain.basis.lower()
    return f"confirmed, 95 % interval {number(gain.low)} to {number(gain.high)}"


def _tile(name: str, figure: str, note: str) -> Html:
    return element("div", element("dt", name), element("dd", element("b", figure), element("small", note)))


def _scatter(record: StudyRecord) -> str:
    baseline = record.status.baseline
    if baseline is None:
        return "none was run" if record.spec.baseline.repeats == 0 else "no run gave a value"
    if baseline.stddev is None:
        return "one run"
    return f"\N{PLUS-MINUS SIGN} {baseline.stddev:.2g} over {baseline.repeats} runs"


def _counted(record: StudyRecord) -> str:
    trials = record.status.trials
    states = {"completed": trials.succeeded, "pruned": trials.pruned, "failed": trials.failed, "stopped": trials.stopped}
    shown = [f"{amount} {word}" for word, amount in states.items() if amount]
    return ", ".join(shown) or "none finished"


def _trust(record: StudyRecord) -> str | None:
    """What fresh runs say; without them what `provisional` means, and what to do where there is no gain."""
    gain, confirmed = record.status.improvement, record.status.confirmation
    if confirmed is not None:
        return _confirmed(confirmed, gain)
    if gain is None:
        return None
    if gain.absolute <= 0:
        return "No trial beat the defaults. A wider search space or a larger budget may; the defaults may also be good."
    return (
        "The gain is provisional: the best of many single runs is partly luck, so expect somewhat less when these parameters "
        "are trained again with other seeds."
    )


def _tested(record: StudyRecord) -> str | None:
    test, spec = record.status.final_evaluation, record.spec.final_evaluation
    if test is None or spec is None:
        return None
    figures = ""
    if test.best is not None and test.baseline is not None:
        figures = f"Tested on rows that no other run saw, the best parameters reach {spec.metric} {score(test.best)}, "
        figures += f"the defaults {score(test.baseline)}. "
    gap = test.validation_gap
    flattered = f" Validation rows flattered the best parameters by {number(gap)}." if gap is not None and gap > 0 else ""
    return f"{figures}{test.verdict}: {test.message}.{flattered}"


def _confirmed(fresh: ConfirmationStatus, gain: Improvement | None) -> str:
    runs = f"Trial {fresh.trial} was trained {count(fresh.repeats, 'more time')} with other seeds and reached "
    runs += spread(fresh.value, fresh.stddev)
    if gain is not None and gain.message:
        runs += f": {gain.message}"
    flattered = "flattered it" if fresh.optimism > 0 else "did not flatter it"
    return f"{runs}. The single value for which it was chosen {flattered}: it was {number(abs(fresh.optimism))} " + (
        "better than that." if fresh.optimism >= 0 else "worse than that."
    )


def _failures(record: StudyRecord) -> str | None:
    failed = [row for row in record.trials if row.state == "fail"]
    if not failed:
        return None
    reasons = Counter(row.reason or "no reason recorded" for row in failed)
    causes = [f"{reason} ({amount})" for reason, amount in reasons.most_common()]
    text = f"{count(len(failed), 'trial')} gave no value: {listed(causes)}."
    return f"{text} The table of trials has their last words." if any(row.message for row in failed) else text


def _diagnosed(record: StudyRecord) -> str | None:
    found, best = record.status.diagnoses, record.status.best
    if not found:
        return None
    named = [f"{diagnosis.name} ({count(diagnosis.trials, 'trial')}, such as {diagnosis.example})" for diagnosis in found]
    text = f"What trials say was wrong with their training: {listed(named)}. The table of trials has their advice."
    return f"{text} The best trial itself says {listed(list(best.diagnoses))}." if best and best.diagnoses else text


def _ending(record: StudyRecord) -> Html:
    condition = _telling(record)
    phase = record.status.phase
    said: list[Child] = ["State: ", element("strong", phase)]
    if condition:
        since = condition.last_transition_time
        said.append(f" ({condition.reason}) since ")
        said.append(element("time", f"{since:%Y-%m-%d %H:%M %Z}", datetime=since.isoformat()))
        said.append(f": {condition.message}" if condition.message else "")
    return element("p", *said, class_="ending")


def _telling(record: StudyRecord) -> StatusCondition | None:
    true = {condition.type: condition for condition in record.status.conditions if condition.status == "True"}
    return next((true[kind] for kind in _ENDS if kind in true), None)
