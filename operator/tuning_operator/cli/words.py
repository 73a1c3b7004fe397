"""Figures and names as the command line prints them."""

from __future__ import annotations

from tuning_operator.api.contract import metric_of
from tuning_operator.api.parameters import Parameters, ParameterValue
from tuning_operator.api.study import StudySpec
from tuning_operator.engine.facts import STUDY_ENDED, Trial, TrialState

_LONGEST = 120
_MINUTE = 60
_HOUR = 3600


def number(value: float) -> str:
    """A figure with five significant digits."""
    return f"{value:.5g}"


def with_spread(mean: float, stddev: float | None) -> str:
    """A mean and, when it is known, its standard deviation."""
    return number(mean) if stddev is None else f"{number(mean)} ± {number(stddev)}"


def value(parameter: ParameterValue) -> str:
    """A parameter's value, short."""
    return f"{parameter:.4g}" if isinstance(parameter, float) else str(parameter)


def parameters(values: Parameters) -> str:
    """A configuration on one line."""
    return ", ".join(f"{name}={value(chosen)}" for name, chosen in values.items())


def duration(seconds: float) -> str:
    """A length of time, in its largest two units."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def outcome(spec: StudySpec, trial: Trial) -> str:
    """How a trial ended, in a few words."""
    if trial.state is TrialState.COMPLETE and trial.value is not None:
        return f"{metric_of(spec, trial.role)} {number(trial.value)}"
    if trial.reason == STUDY_ENDED:
        return "stopped (the study ended)"
    why = f": {trial.message}" if trial.message else ""
    return f"{trial.state.value} ({trial.reason}{why})"[:_LONGEST]
