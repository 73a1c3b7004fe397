"""The report's tables: the best configuration beside the defaults, every trial, and how the search was done."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Final

from tuning_operator.api.parameters import CategoricalChoices, Domain, Parameter, Parameters, ParameterValue, defaults
from tuning_operator.api.study import trainer_container
from tuning_operator.engine.facts import Role
from tuning_operator.report.markup import Child, Html, element
from tuning_operator.report.record import StudyRecord, TrialRow
from tuning_operator.report.words import count, duration, listed, number, score, spread

_NONE: Final = "\N{EN DASH}"
_EDGE: Final = 0.02
"""A value within this share of its range from an end suggests that the range ends too early."""

_LONGEST_MESSAGE: Final = 2_000


def comparison(record: StudyRecord) -> Html:
    """The best trial's parameters beside the defaults, and the same as JSON to copy."""
    status, best = record.status, record.status.best
    result = [
        record.objective.metric,
        spread(status.baseline.value, status.baseline.stddev) if status.baseline else "not run",
        score(best.value) if best else _NONE,
        f"to {record.objective.direction}",
    ]
    header = ["", "Defaults", f"Best: trial {best.trial}" if best else "Best", "Range"]
    rows = [_row(result, class_="result"), *(_compared(record, parameter) for parameter in record.spec.parameters)]
    parts: list[Child] = [_table("Best parameters beside the defaults", header, rows)]
    if best:
        parts.append(_to_copy(best.parameters))
    return _section("best", "The best parameters", *parts)


def _compared(record: StudyRecord, parameter: Parameter) -> Html:
    default, best = _defaults(record).get(parameter.name), record.status.best
    value = best.parameters.get(parameter.name) if best else None
    cells = [
        parameter.name,
        number(default) if default is not None else _absent(parameter),
        number(value) if value is not None else _absent(parameter) if best else _NONE,
        _range(parameter) + _note(parameter, value),
    ]
    return _row(cells, class_="changed" if value is not None and value != default else None)


def _absent(parameter: Parameter) -> str:
    return "inactive" if parameter.when else _NONE


def _defaults(record: StudyRecord) -> Parameters:
    try:
        return defaults(record.spec.parameters)
    except ValueError:  # a study without a baseline need not state them all
        stated = {parameter.name: parameter.domain.default for parameter in record.spec.parameters}
        return {name: default for name, default in stated.items() if default is not None}


def _range(parameter: Parameter) -> str:
    domain = parameter.domain
    if isinstance(domain, CategoricalChoices):
        text = ", ".join(domain.choices)
    else:
        text = f"{number(domain.min)} to {number(domain.max)}"
        text += ", log" if domain.scale == "log" else ""
        text += f", step {number(domain.step)}" if domain.step else ""
    conditions = [f"{condition.parameter} is {' or '.join(condition.values)}" for condition in parameter.when]
    return f"{text}; only when {listed(conditions)}" if conditions else text


def _note(parameter: Parameter, value: ParameterValue | None) -> str:
    share = None if value is None else _share(parameter.domain, value)
    if share is None:
        return ""
    if share < _EDGE:
        return "; the best is at its low end"
    return "; the best is at its high end" if share > 1 - _EDGE else ""


def _share(domain: Domain, value: ParameterValue) -> float | None:
    """Where the value lies in its range, 0 .. 1 on the range's scale; None for words."""
    if isinstance(domain, CategoricalChoices) or isinstance(value, str):
        return None
    low, high, at = float(domain.min), float(domain.max), float(value)
    if domain.scale == "log":
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def _to_copy(parameters: dict[str, ParameterValue]) -> Html:
    text = json.dumps(parameters, indent=2, ensure_ascii=False)
    return element("details", element("summary", "The best parameters, exact, as JSON"), element("pre", text, tabindex="0"))


def trials(record: StudyRecord) -> Html:
    """Every trial with its parameters, value and end."""
    if not record.trials:
        return _section("trials", "All trials", element("p", "No trial has been started."))
    names = _names(record)
    metric = record.objective.metric
    header = ["Trial", "Role", "State", metric, "Duration", *names]
    best = record.status.best
    rows = [_trial(row, names, best=bool(best and best.trial == row.number)) for row in record.trials]
    return _section("trials", "All trials", _table("All trials", header, rows))


def _names(record: StudyRecord) -> list[str]:
    """Parameters in the manifest's order, then any other that a trial has."""
    names = [parameter.name for parameter in record.spec.parameters]
    return names + sorted({name for row in record.trials for name in row.parameters} - set(names))


def _trial(row: TrialRow, names: Iterable[str], *, best: bool) -> Html:
    cells: list[Child] = [
        f"{row.number} (best)" if best else str(row.number),
        row.role,
        _end(row),
        score(row.value) if row.value is not None else _NONE,
        duration(row.seconds) if row.seconds is not None else _NONE,
        *(number(row.parameters[name]) if name in row.parameters else _NONE for name in names),
    ]
    return _row(cells, class_="best" if best else None)


def _end(row: TrialRow) -> Html:
    """The state; why, where it is not as it should be; what was wrong with its training; and its last words behind a click."""
    told = f"{row.state}: {row.reason}" if row.reason and row.state == "fail" else row.state
    state = element("span", told, class_=f"state {row.state}")
    names = ", ".join(diagnosis.name for diagnosis in row.diagnoses)
    words = [row.message, *(f"{diagnosis.name}: {diagnosis.advice}" for diagnosis in row.diagnoses)]
    message = "\n".join(filter(None, words))
    if not message:
        return state
    cut = message[:_LONGEST_MESSAGE] + ("\N{HORIZONTAL ELLIPSIS}" if len(message) > _LONGEST_MESSAGE else "")
    return element("details", element("summary", state, f" {names}"), element("pre", cut))


def method(record: StudyRecord) -> Html:
    """How the search was done: enough to do it again."""
    entries = (
        ("Sampler", _sampler(record)),
        ("Seed", str(record.spec.search.seed)),
        ("Pruner", _pruner(record)),
        ("Baseline", _baseline(record)),
        ("Confirmation", _confirmation(record)),
        ("Budget", _budget(record)),
        ("Stopping", record.status.stopping.message if record.status.stopping else ""),
        ("Usage", _usage(record)),
        ("Container", _images(record)),
    )
    items = [element("div", element("dt", name), element("dd", text)) for name, text in entries if text]
    return _section("method", "How it was searched", element("dl", *items, class_="method"))


def _sampler(record: StudyRecord) -> str:
    chosen, asked = record.status.search, record.spec.search.sampler
    if chosen is None:
        return f"{asked}, not used yet"
    return f"{chosen.sampler}: {chosen.reason}" if chosen.reason else chosen.sampler


def _pruner(record: StudyRecord) -> str:
    chosen, asked = record.status.pruning, record.spec.pruning.pruner
    return f"{chosen.pruner}: {chosen.reason}" if chosen else asked


def _baseline(record: StudyRecord) -> str:
    asked = record.spec.baseline.repeats
    done = sum(row.role == Role.BASELINE and row.scored for row in record.trials)
    return f"{count(asked, 'run')} of the defaults, {done} with a value" if asked else "none asked for"


def _confirmation(record: StudyRecord) -> str:
    asked, fresh = record.spec.confirmation.repeats, record.status.confirmation
    if not asked:
        return ""
    return f"{count(asked, 'fresh run')} of the winner" + (f", {fresh.basis}" if fresh else "")


def _budget(record: StudyRecord) -> str:
    budget = record.spec.budget
    parts = [f"{count(budget.max_trials, 'search trial')}, at most {budget.parallelism} at once"]
    if budget.max_duration:
        parts.append(f"{budget.max_duration} in all")
    if budget.max_gpu_hours:
        parts.append(f"{number(budget.max_gpu_hours)} GPU-hours")
    if budget.max_failed_trials is not None:
        parts.append(f"at most {count(budget.max_failed_trials, 'failed trial')}")
    return ", ".join(parts)


def _usage(record: StudyRecord) -> str:
    usage, disrupted = record.status.usage, record.status.trials.disrupted
    parts = [f"{number(usage.trial_hours)} trial-hours"]
    if record.spec.trial.gpus:
        parts.append(f"{number(usage.gpu_hours)} GPU-hours, {number(usage.wasted_gpu_hours)} of them wasted")
    if usage.saved_gpu_hours:
        parts.append(f"about {number(usage.saved_gpu_hours)} GPU-hours saved by pruning")
    if disrupted:
        parts.append(f"{count(disrupted, 'attempt')} lost to disruptions and run again")
    return ", ".join(parts)


def _images(record: StudyRecord) -> str:
    container = trainer_container(record.spec.trial.template)
    return str(container.get("image", ""))


def _table(caption: str, header: Sequence[str], rows: Iterable[Html]) -> Html:
    """A table that scrolls by itself where it is wider than the page; the region is reachable by keyboard."""
    head = element("tr", *(element("th", name, scope="col") if name else element("td") for name in header))
    table = element("table", element("caption", caption, class_="unseen"), element("thead", head), element("tbody", *rows))
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _row(cells: Sequence[Child], *, class_: str | None = None) -> Html:
    """A row whose first cell is its header."""
    first, *others = cells
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others), class_=class_)


def _section(key: str, title: str, *children: Child) -> Html:
    return element("section", element("h2", title), *children, id=key)
