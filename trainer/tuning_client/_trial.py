"""The trial that a script runs as."""

from __future__ import annotations

import atexit
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self, TypeVar, overload

from tuning_client import _environment, _result
from tuning_client._console import show, warn
from tuning_client._courier import SUPERSEDED, Courier, Pace
from tuning_client._diagnosis import Diagnosis
from tuning_client._environment import Environment, ParameterValue
from tuning_client._errors import CONFIGURATION_EXIT_CODE, INTERRUPTED_EXIT_CODE, ConfigurationError, Pruned
from tuning_client._http import GatewayConnection
from tuning_client._interruption import Interruption

Value = TypeVar("Value", float, int, str)

_FINAL: Final = "final"
_SUSPENDED: Final = "suspended"
_LARGEST_STEP: Final = 2**31 - 1  # the study database keeps steps as 32-bit integers

STEPS_OF_A_FOLD: Final = 1_000_000
"""Step s of fold f is reported as f times this, plus s: a pruner then compares equal folds with each other."""


def trial() -> Trial:
    """The trial that this process runs as, read from its environment; by hand, one of defaults.

    Inside a study it takes SIGTERM over (main thread only) and starts a daemon thread that talks to the gateway.
    An environment that breaks the contract ends the process with exit code 78.
    """
    try:
        return Trial(_environment.read(os.environ))
    except ConfigurationError as error:
        _leave_misconfigured(error)


class Trial:
    """One trial. Use it as a context manager: leaving the block settles result and exit code.

    Attributes of a run by hand: no parameters, seed 0, role ``search``, number 0, metric ``value``, no folders.
    """

    def __init__(self, environment: Environment, pace: Pace | None = None) -> None:
        self._environment = environment
        self._interruption = Interruption()
        self._last: float | None = None
        self._has_result = False
        self._told_about_metric = False
        self._courier = _courier(environment, pace or Pace())
        if not environment.by_hand:
            self._interruption.install()
        # For scripts without a `with` block.
        atexit.register(self.close)

    @property
    def by_hand(self) -> bool:
        """Whether there is no study around it."""
        return self._environment.by_hand

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """The active parameters by name."""
        return self._environment.parameters

    @property
    def seed(self) -> int:
        """Seed of everything random in this trial."""
        return self._environment.seed

    @property
    def role(self) -> str:
        """What the trial is for: ``baseline``, ``search``, ``confirm``, ``final`` or ``lr-range``."""
        return self._environment.role

    @property
    def number(self) -> int:
        """Its number within the study."""
        return self._environment.number

    @property
    def metric(self) -> str:
        """Name of the objective's metric."""
        return self._environment.metric

    @property
    def folds(self) -> int | None:
        """How many folds of a cross-validation the study asks for; None where it asks for none."""
        return self._environment.folds

    @property
    def fold(self) -> int | None:
        """The one fold of the cross-validation that this run is for, from 0; None: all of them, one after another."""
        return self._environment.fold

    @property
    def final_epochs(self) -> int | None:
        """For how many epochs the final model is trained; None where nothing says so."""
        return self._environment.final_epochs

    @property
    def checkpoint_dir(self) -> Path | None:
        """Where an interrupted trial finds its checkpoints again; None when nothing is kept."""
        return self._environment.checkpoint_dir

    @property
    def output_dir(self) -> Path | None:
        """Where the trained model goes; None when nothing is kept."""
        return self._environment.output_dir

    @overload
    def param(self, name: str) -> ParameterValue: ...

    @overload
    def param(self, name: str, default: Value) -> Value: ...

    def param(self, name: str, default: ParameterValue | None = None) -> ParameterValue:
        """A parameter's value, or the default when the study does not tune it or the script runs by hand.

        A whole number is welcome where the default is a float.

        Raises:
            ConfigurationError: there is neither a value nor a default, or the value is of another type than the default.
        """
        value = self.parameters.get(name, default)
        if value is None:
            raise ConfigurationError(
                f"parameter {name} is not in TUNING_PARAMETERS; add it to the study, or give param() a default"
            )
        if isinstance(default, float) and isinstance(value, float | int):
            return float(value)
        if default is not None and not isinstance(default, type(value)):
            raise ConfigurationError(
                f"parameter {name} is {value!r}, but the script's default {default!r} is of type {type(default).__name__};"
                " make the study's parameter and the default agree"
            )
        return value

    def report(self, step: int, value: float | None = None, /, *, fold: int | None = None, **metrics: float) -> None:
        """Report metrics after a step, such as an epoch. The study's pruner sees the objective's metric.

        `value` alone stands for that metric; `fold`, from 0, is the fold of a cross-validation whose step this is.
        Costs microseconds and never fails for the gateway's sake.

        Raises:
            ConfigurationError: the step is no whole number from 0 to 2147483647 (to 999999 within a fold), the fold none
                from 0 to 2146, or a value is not a number.
        """
        number, values = _step(step, fold), self._named(value, metrics)
        if self._environment.by_hand:
            show(f"{'' if fold is None else f'fold {fold} '}step {step}: {_line(values)}")
        objective = values.get(self.metric)
        if objective is None:
            # What a final run is judged by is measured once, after training.
            if self.role != _FINAL:
                self._explain_metric("report", values)
            return
        self._last = objective
        if self._courier:
            self._courier.report(number, objective)

    def result(
        self,
        value: float | None = None,
        /,
        *,
        diagnoses: Sequence[Diagnosis] = (),
        notes: Mapping[str, str] | None = None,
        **metrics: float,
    ) -> bool:
        """Give the trial's result, once, at the end. It must contain the objective's metric; `value` alone stands for it.

        Written into the result file, then posted to the gateway, for which it waits a few seconds at most.

        Args:
            value: of the objective.
            diagnoses: what was wrong with the training, the most telling first; the first 16 are kept.
            notes: texts to be found in the result file, by name; ``message`` is a sentence for people.
            metrics: by name.

        Returns:
            Whether it is in safe hands: in the result file or with the gateway; by hand, always. Only then may a
            checkpoint be deleted. An attempt that is no longer the newest never may.

        Raises:
            ConfigurationError: a value is not a number, or a name is taken: by a metric, or by ``pruned``, ``diagnoses``
                or ``message``, which the result reserves.
        """
        values, texts = self._named(value, metrics), _result.texts(notes or {}, taken=metrics)
        if self._environment.by_hand:
            show(f"result: {_line(values)}")
            for diagnosis in diagnoses:
                show(f"{diagnosis.name}: {diagnosis.sentence}")
        if self.metric not in values:
            self._explain_metric("result", values)
        return self._deliver(values, diagnoses=diagnoses, notes=texts)

    @property
    def stop_reason(self) -> str | None:
        """Why the gateway asked the trial to stop, as far as known: pruned, timeout, suspended, study-ended, superseded."""
        return self._courier.stop_reason if self._courier else None

    def should_prune(self) -> bool:
        """Whether to leave for good: the rest of the training would not count. Answers at once, from what is known."""
        return self.stop_reason not in {None, _SUSPENDED}

    @property
    def interrupted(self) -> bool:
        """Whether to save a checkpoint and leave with `exit_interrupted`: SIGTERM arrived, or the study is suspended."""
        return self._interruption.arrived or self.stop_reason == _SUSPENDED

    def should_stop(self) -> bool:
        """Whether to leave, for good or to be continued."""
        return self.should_prune() or self.interrupted

    def exit_interrupted(self) -> NoReturn:
        """Leave with exit code 75: the same trial runs again later and finds its checkpoint."""
        self.close()
        raise SystemExit(INTERRUPTED_EXIT_CODE)

    def close(self) -> None:
        """Send the last reports, for two seconds at most, and give SIGTERM back. Leaving the block does it."""
        atexit.unregister(self.close)
        if self._courier:
            self._courier.close()
        self._interruption.restore()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        try:
            if isinstance(error, ConfigurationError):
                _leave_misconfigured(error)
            if isinstance(error, Pruned):
                self._leave_pruned(error.diagnoses)
            elif error is None and not self._has_result:
                self._leave_without_result()
        finally:
            self.close()
        return isinstance(error, Pruned)

    def _leave_pruned(self, diagnoses: Sequence[Diagnosis] = ()) -> None:
        # An interrupted trial that nobody found hopeless is to be continued, however the script left its loop.
        if self.interrupted and not self.should_prune():
            raise SystemExit(INTERRUPTED_EXIT_CODE)
        if self._environment.by_hand:
            show("pruned")
        self._deliver({} if self._last is None else {self.metric: self._last}, diagnoses=diagnoses, pruned=True)

    def _leave_without_result(self) -> None:
        if self.should_stop():
            self._leave_pruned()
        else:
            warn(f"the script ended without a result; call trial.result({self.metric}=...) with its final value before leaving")

    def _deliver(
        self,
        values: Mapping[str, float],
        *,
        diagnoses: Sequence[Diagnosis] = (),
        notes: Mapping[str, str] | None = None,
        pruned: bool = False,
    ) -> bool:
        self._has_result = True
        kept = self.by_hand
        body, left_out = _result.encode(values, objective=self.metric, diagnoses=diagnoses, notes=notes, pruned=pruned)
        if left_out:
            warn(f"the result leaves out {', '.join(left_out)}: {_result.BOUNDS}; give less, or shorter names")
        if self._environment.result_file:
            try:
                _result.write(self._environment.result_file, body)
                kept = True
            except OSError as error:
                warn(f"the result file {self._environment.result_file} cannot be written: {error.strerror or error}")
        if self._courier:
            kept = self._courier.result(body) or kept
        return kept and self.stop_reason != SUPERSEDED

    def _named(self, value: float | None, metrics: Mapping[str, float]) -> dict[str, float]:
        return _result.numbers(metrics if value is None else {self.metric: value, **metrics})

    def _explain_metric(self, method: str, values: Mapping[str, float]) -> None:
        if self._environment.by_hand or self._told_about_metric:
            return
        self._told_about_metric = True
        given = ", ".join(values) or "nothing"
        warn(f"trial.{method}() was given {given}, but the study's objective is {self.metric}; pass {self.metric} as well")


def _courier(environment: Environment, pace: Pace) -> Courier | None:
    if environment.endpoint is None or environment.token_file is None:
        return None
    return Courier(GatewayConnection(environment.endpoint, environment.token_file), pace)


def _leave_misconfigured(error: ConfigurationError) -> NoReturn:
    warn(str(error))
    raise SystemExit(CONFIGURATION_EXIT_CODE) from None


def _step(step: int, fold: int | None) -> int:
    """The step as it travels."""
    last = _LARGEST_STEP if fold is None else STEPS_OF_A_FOLD - 1
    within = _whole(step, "the step", last, "such as the epoch")
    if fold is None:
        return within
    return _whole(fold, "the fold", _LARGEST_STEP // STEPS_OF_A_FOLD - 1, "the first is 0") * STEPS_OF_A_FOLD + within


def _whole(number: int, what: str, last: int, hint: str) -> int:
    try:
        whole = operator.index(number)
    except TypeError:
        whole = -1
    if not 0 <= whole <= last:
        raise ConfigurationError(f"trial.report() got {what} {number!r}; it must be a whole number from 0 to {last}, {hint}")
    return whole


def _line(values: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.6g}" for name, value in values.items()) or "no metrics"
