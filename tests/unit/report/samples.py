"""Studies to report on: real Optuna studies, written as the store writes them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from tests.support.studies import study_spec

from tuning_operator.api.parameters import Domain, FloatRange, IntRange, Parameter, ParameterValue, defaults
from tuning_operator.api.status import (
    BaselineStatus,
    BestTrial,
    Improvement,
    SearchStatus,
    StatusCondition,
    StudyStatus,
    TrialCounts,
    Usage,
)
from tuning_operator.api.study import ObjectMeta, StudySpec, TuningStudy
from tuning_operator.report.record import StudyRecord

BEGAN = datetime(2026, 11, 23, 9, 0)  # noqa: DTZ001 - Optuna keeps local times without a zone
ENDED = datetime(2026, 11, 23, 11, 42, tzinfo=UTC)

LAST_WORDS = "the container was killed at its memory limit of 4Gi\nlast step 3"

BREAKOUT = "</script><img src=x onerror=alert(1)>"

SIX_PARAMETERS: list[dict[str, Any]] = [
    {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "log", "default": 1e-3}},
    {"name": "batch_size", "int": {"min": 16, "max": 256, "scale": "log", "default": 64}},
    {"name": "optimizer", "categorical": {"choices": ["adam", "adamw", "sgd"], "default": "adam"}},
    {
        "name": "momentum",
        "float": {"min": 0.0, "max": 0.99, "default": 0.9},
        "when": [{"parameter": "optimizer", "values": ["sgd"]}],
    },
    {"name": "dropout", "float": {"min": 0.0, "max": 0.6, "step": 0.05, "default": 0.0}},
    {"name": "weight_decay", "float": {"min": 1e-6, "max": 1e-1, "scale": "log", "default": 1e-6}},
]

Values = Mapping[str, ParameterValue]


def trial(  # noqa: PLR0913 - one call states one trial
    values: Values,
    value: float | None = None,
    *,
    spec: StudySpec,
    state: TrialState = TrialState.COMPLETE,
    role: str = "search",
    reason: str = "Completed",
    message: str = "",
    curve: Sequence[float] = (),
    minutes: float = 4.0,
    number: int = 0,
) -> FrozenTrial:
    """A trial as the store leaves it for Optuna."""
    domains = {parameter.name: parameter.domain for parameter in spec.parameters}
    began = BEGAN + timedelta(minutes=3 * number)
    frozen = optuna.trial.create_trial(
        state=state,
        value=value,
        params=dict(values),
        distributions={name: _distribution(domains[name]) for name in values},
        user_attrs={"tuning:role": role, "tuning:seed": 1000 + number, "tuning:reason": reason, "tuning:message": message},
        intermediate_values=dict(enumerate(curve)),
    )
    frozen.datetime_start = began
    frozen.datetime_complete = began + timedelta(minutes=minutes) if state.is_finished() else None
    return frozen


def record(
    trials: Sequence[FrozenTrial],
    *,
    spec: StudySpec,
    name: str = "digits",
    storage: str | None = None,
    ending: tuple[str, str] = ("MaxTrialsReached", "25 search trials; best val_accuracy 0.981 in trial 17"),
) -> StudyRecord:
    """What the report gets of these trials: a study in memory, or in the database of that URL, and its status."""
    study = optuna.create_study(study_name=f"research/{name}/0f8e1d2c", direction=spec.objective.direction, storage=storage)
    study.add_trials(trials)
    manifest = TuningStudy(
        api_version="tuningstudy.dev/v1alpha1",
        kind="TuningStudy",
        metadata=ObjectMeta(name=name, namespace="research"),
        spec=spec,
    )
    return StudyRecord(manifest=manifest, status=status_of(study, spec, ending), study=study)


def status_of(study: optuna.Study, spec: StudySpec, ending: tuple[str, str]) -> StudyStatus:
    """The status that belongs to these trials."""
    baseline, best = _baseline(study), _best(study, spec)
    gain = None if baseline is None or best is None else best.value - baseline.value
    search = [t for t in study.trials if t.user_attrs.get("tuning:role") == "search"]
    succeeded = best is not None
    reason, message = ending
    return StudyStatus(
        phase="Succeeded" if succeeded else "Failed",
        conditions=(
            StatusCondition(
                type="Succeeded" if succeeded else "Failed",
                status="True",
                reason=reason,
                message=message,
                last_transition_time=ENDED,
            ),
        ),
        trials=TrialCounts(
            progress=f"{sum(t.state.is_finished() for t in search)}/{spec.budget.max_trials}",
            succeeded=sum(t.state is TrialState.COMPLETE for t in search),
            pruned=sum(t.state is TrialState.PRUNED for t in search),
            failed=sum(t.state is TrialState.FAIL for t in search),
        ),
        baseline=baseline,
        best=best,
        improvement=None if gain is None else Improvement(absolute=gain if spec.objective.direction == "maximize" else -gain),
        usage=Usage(trial_hours=1.9),
        search=SearchStatus(sampler="tpe", reason="mixed and conditional space, 25 trials, 2 at once"),
    )


def realistic(*, storage: str | None = None, search_trials: int = 25) -> StudyRecord:
    """Three runs of the defaults, then a search over six parameters, one of them conditional; some fail, some are pruned."""
    spec = study_spec(
        parameters=SIX_PARAMETERS,
        baseline={"repeats": 3},
        search={"sampler": "auto", "seed": 7},
        budget={"maxTrials": search_trials, "parallelism": 2, "maxDuration": "6h", "maxFailedTrials": 6},
    )
    random = Random(7)
    trials = [_learned(defaults(spec.parameters), spec, number=i, random=random, role="baseline") for i in range(3)]
    for number in range(3, 3 + search_trials):
        values = _drawn(spec.parameters, random, focus=(number - 3) / search_trials)
        if number in {8, 19}:
            trials.append(
                trial(
                    values, spec=spec, state=TrialState.FAIL, reason="OOMKilled", message=LAST_WORDS, minutes=0.7, number=number
                )
            )
        elif number in {11, 15, 22}:
            trials.append(_learned(values, spec, number=number, random=random, steps=6, state=TrialState.PRUNED))
        else:
            trials.append(_learned(values, spec, number=number, random=random))
    return record(trials, spec=spec, storage=storage)


def hostile() -> StudyRecord:
    """Choices, last words and a parameter of another program that try to break out of the page."""
    choices = (BREAKOUT, f"{BREAKOUT}2", "plain")
    spec = study_spec(parameters=[{"name": "choice", "categorical": {"choices": choices, "default": BREAKOUT}}])
    trials = uniform_trials(spec, [0.9, 0.8, 0.7, 0.85], lambda i: {"choice": choices[i % 3]})
    trials.append(trial({"choice": "plain"}, spec=spec, state=TrialState.FAIL, reason=BREAKOUT, message=BREAKOUT, number=4))
    trials += [
        optuna.trial.create_trial(value=value, params={BREAKOUT: value}, distributions={BREAKOUT: FloatDistribution(0, 1)})
        for value in (0.6, 0.5)
    ]
    return record(trials, spec=spec, ending=("MaxTrialsReached", BREAKOUT))


def uniform_trials(spec: StudySpec, scores: Sequence[float | None], make: Callable[[int], Values]) -> list[FrozenTrial]:
    """Search trials with these scores; None is a trial that failed."""
    states = [TrialState.FAIL if score is None else TrialState.COMPLETE for score in scores]
    return [
        trial(make(i), score, spec=spec, state=state, number=i, reason="ExitCode" if score is None else "Completed")
        for i, (score, state) in enumerate(zip(scores, states, strict=True))
    ]


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case FloatRange():
            return FloatDistribution(domain.min, domain.max, log=domain.scale == "log", step=domain.step)
        case IntRange():
            return IntDistribution(domain.min, domain.max, log=domain.scale == "log", step=domain.step or 1)
        case _:
            return CategoricalDistribution(domain.choices)


def _baseline(study: optuna.Study) -> BaselineStatus | None:
    values = [t.value for t in study.trials if t.user_attrs.get("tuning:role") == "baseline" and t.value is not None]
    if not values:
        return None
    stddev = statistics.stdev(values) if len(values) > 1 else None
    return BaselineStatus(value=statistics.fmean(values), stddev=stddev, repeats=len(values))


def _best(study: optuna.Study, spec: StudySpec) -> BestTrial | None:
    sign = -1 if spec.objective.direction == "maximize" else 1
    scored = [
        (sign * t.value, t)
        for t in study.trials
        if t.state is TrialState.COMPLETE and t.user_attrs.get("tuning:role") == "search" and t.value is not None
    ]
    if not scored:
        return None
    score, best = min(scored, key=lambda pair: pair[0])
    return BestTrial(trial=best.number, value=sign * score, parameters=dict(best.params))


def _drawn(parameters: Sequence[Parameter], random: Random, *, focus: float) -> dict[str, ParameterValue]:
    """A configuration; the higher the focus, the nearer to where good ones lie."""
    values: dict[str, ParameterValue] = {}
    for parameter in parameters:
        if not parameter.active(values):
            continue
        good = {"learning_rate": 0.62, "batch_size": 0.3, "momentum": 0.9, "dropout": 0.4, "weight_decay": 0.55}.get(
            parameter.name, 0.5
        )
        share = min(1.0, max(0.0, good * focus + random.random() * (1 - focus) + random.gauss(0, 0.06)))
        domain = parameter.domain
        if isinstance(domain, FloatRange | IntRange):
            log = domain.scale == "log"
            low, high = (math.log(domain.min), math.log(domain.max)) if log else (domain.min, domain.max)
            value = low + share * (high - low)
            value = math.exp(value) if log else value
            if isinstance(domain, IntRange):
                values[parameter.name] = min(domain.max, max(domain.min, round(value)))
            else:
                step = domain.step
                on_grid = round(round(value / step) * step, 10) if step else value
                values[parameter.name] = min(domain.max, max(domain.min, on_grid))
        else:
            values[parameter.name] = random.choice(domain.choices)
    return values


def _learned(
    values: Values,
    spec: StudySpec,
    *,
    number: int,
    random: Random,
    role: str = "search",
    steps: int = 15,
    state: TrialState = TrialState.COMPLETE,
) -> FrozenTrial:
    rate = abs(math.log10(float(values["learning_rate"])) + 2.5)
    decay = abs(math.log10(float(values["weight_decay"])) + 3.5)
    penalty = 0.02 * rate**2 + 0.002 * decay + 0.04 * abs(float(values["dropout"]) - 0.25)
    penalty += 0.01 * abs(math.log2(float(values["batch_size"]) / 32)) + (0.015 if values["optimizer"] == "sgd" else 0.0)
    final = 0.985 - penalty + random.gauss(0, 0.003)
    curve = [final - (final - 0.1) * math.exp(-(step + 1) / 2.5) + random.gauss(0, 0.004) for step in range(steps)]
    value = max(curve)
    reason = "Completed" if state is TrialState.COMPLETE else "Pruned"
    return trial(values, value, spec=spec, state=state, role=role, reason=reason, curve=curve, minutes=steps / 4, number=number)
