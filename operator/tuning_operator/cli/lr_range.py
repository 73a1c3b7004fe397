"""`tuning lr-range`: between which learning rates a study should search, from one short training on this machine."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from tuning_operator.api.contract import Places, ResultError, environment, parse_result
from tuning_operator.api.parameters import Parameter, at_defaults
from tuning_operator.api.study import TuningStudy
from tuning_operator.runtime.local.command import local_command

ROLE: Final = "lr-range"
PARAMETER: Final = "learning_rate"

_LOW, _HIGH = "suggested_min", "suggested_max"
_CURVE: Final = "lr_range.json"


class RangeTestFailed(Exception):  # noqa: N818 - the state it names
    """There is no range. Its text is the sentence to show."""


def suggest_range(study: TuningStudy, output: Path, *, console: Console) -> None:
    """Run the study's command once as a range test, print the range with the lines for the manifest, draw its curve.

    Parameters have their defaults; one without a default is left to the command's own.

    Args:
        study: what to test.
        output: directory of the result, the curve and its page.
        console: what it is told on.

    Raises:
        RangeTestFailed: the command failed, knows no range test, or no rate lowered the loss.
        ManifestError: the command needs something that only a cluster has.
        OSError: the directory cannot be written.
    """
    output.mkdir(parents=True, exist_ok=True)
    low, high = _range(_run(study, output.resolve()))
    lines = manifest_lines(low, high, _parameter(study))
    console.print(Text(f"learning_rate: search from {low:g} to {high:g}"), soft_wrap=True)
    console.print(Text(f"In spec.parameters:\n{lines}"), soft_wrap=True)
    page = output / "lr_range.html"
    _draw(study, output / _CURVE, low=low, high=high, lines=lines, page=page)
    console.print(Text(f"The curve: {page}"), soft_wrap=True)


def manifest_lines(low: float, high: float, parameter: Parameter | None) -> str:
    """The parameter as it stands in a manifest; a default that lies outside the range moves into its middle."""
    known = parameter.float_.default if parameter and parameter.float_ else None
    default = known if known is not None and low <= known <= high else float(f"{math.sqrt(low * high):.0e}")
    return f"- {{name: {PARAMETER}, float: {{min: {_plain(low)}, max: {_plain(high)}, scale: log, default: {_plain(default)}}}}}"


def _plain(value: float) -> str:
    """Without an exponent: YAML 1.1 reads 1e-05 as text."""
    return f"{value:.12f}".rstrip("0")


def _parameter(study: TuningStudy) -> Parameter | None:
    return next((parameter for parameter in study.spec.parameters if parameter.name == PARAMETER), None)


def _run(study: TuningStudy, output: Path) -> Mapping[str, float]:
    """The metrics of the test's result."""
    spec, result = study.spec, output / "result.json"
    for earlier in (result, output / _CURVE):
        earlier.unlink(missing_ok=True)
    parameters, _ = at_defaults(spec.parameters)
    told = environment(
        study=study.metadata.name, trial=0, role=ROLE, parameters=parameters, seed=spec.search.seed or 0, spec=spec
    )
    places = Places(result_file=str(result), output_dir=str(output))
    command = local_command(spec.trial)
    argv, variables = command.resolve({**told, "TUNING_METRIC": _HIGH, **places.environment()})
    try:
        code = subprocess.run(argv, env={**os.environ, **variables}, cwd=command.cwd, check=False).returncode  # noqa: S603
    except OSError as error:
        raise RangeTestFailed(f"{argv[0]} cannot be started: {error.strerror}; mend command in spec.trial.template") from error
    if code:
        raise RangeTestFailed(f"the range test ended with exit code {code}; what it said stands above")
    return _metrics(result)


def _metrics(result: Path) -> Mapping[str, float]:
    try:
        metrics = parse_result(result.read_text(encoding="utf-8")).metrics
    except (FileNotFoundError, ResultError):
        metrics = {}
    if _LOW not in metrics or _HIGH not in metrics:
        raise RangeTestFailed(
            f"the trial's command knows no range test: with TUNING_ROLE={ROLE} it gave no {_LOW} and {_HIGH};"
            " the image tuning-trainer does"
        )
    return metrics


def _range(metrics: Mapping[str, float]) -> tuple[float, float]:
    low, high = metrics[_LOW], metrics[_HIGH]
    if not 0 < low < high < math.inf:
        raise RangeTestFailed("no learning rate lowered the loss; look at the data, at scaling and at the network first")
    return low, high


def _draw(study: TuningStudy, curve_file: Path, *, low: float, high: float, lines: str, page: Path) -> None:
    from tuning_operator.report import lr_range  # noqa: PLC0415 - plotly takes a second to load

    try:
        curve: Mapping[str, Sequence[Any]] = json.loads(curve_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RangeTestFailed(f"the curve cannot be drawn: {curve_file} was not left there as JSON") from error
    lr_range.write(curve, study=study.metadata.name, low=low, high=high, manifest=lines, output=page)
