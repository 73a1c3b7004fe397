"""The contract with a trial's container: its environment, its exit codes, its result. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from tuning_operator.api import diagnoses
from tuning_operator.api.base import METRIC_NAME_PATTERN
from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.parameters import Parameters, ParameterValue
from tuning_operator.api.study import StudySpec

EXIT_INTERRUPTED: Final = 75
"""Stopped by a signal after a checkpoint: start me again (EX_TEMPFAIL of sysexits.h)."""
EXIT_CONFIGURATION: Final = 78
"""The study is at fault, not the parameters: the study stalls, nothing is counted (EX_CONFIG of sysexits.h)."""

RESULT_LIMIT: Final = 4096
"""Bytes of a result: what Kubernetes keeps of a termination message."""

STEPS_PER_FOLD: Final = 1_000_000
"""With cross-validation, step s of fold f is reported as step f times this plus s; folds and steps count from 0."""

_FINAL: Final = "final"
_PRUNED: Final = "pruned"
_MESSAGE: Final = "message"
_DIAGNOSES: Final = "diagnoses"
_NAME: Final = re.compile(METRIC_NAME_PATTERN)
_MOST_SHOWN: Final = 60
_REFERENCE: Final = re.compile(r"\$(?:(?P<escaped>\$)|\((?P<name>[^)]*)\))")


def environment(
    *,
    study: str,
    trial: int,
    role: str,
    parameters: Parameters,
    seed: int,
    spec: StudySpec,
    final_epochs: int | None = None,
) -> dict[str, str]:
    """What a trial is told about itself, wherever it runs.

    Args:
        study: name of the study.
        trial: number of the trial within it.
        role: what the trial is for, such as ``baseline`` or ``search``.
        parameters: values of the active parameters.
        seed: for every random number of the trial.
        spec: of the study: all its parameters, active or not, what a trial is judged by, and its folds.
        final_epochs: how long to train where no validation rows say when to stop.

    Returns:
        ``TUNING_PARAM_<NAME>`` for each parameter of the space, an inactive one at its default and absent when it
        has none; ``TUNING_PARAMETERS`` holds the active ones as JSON. Floats survive the way there and back.
    """
    return {
        "TUNING_STUDY": study,
        "TUNING_TRIAL": str(trial),
        "TUNING_ROLE": role,
        "TUNING_SEED": str(seed),
        "TUNING_METRIC": metric_of(spec, role),
        "TUNING_DIRECTION": spec.objective.direction,
        "TUNING_PARAMETERS": json.dumps(dict(parameters)),
        **({"TUNING_FINAL_EPOCHS": str(final_epochs)} if final_epochs is not None else {}),
        **({"TUNING_FOLDS": str(spec.validation.folds)} if spec.validation else {}),
        **{
            f"TUNING_PARAM_{parameter.name.upper()}": _written(value)
            for parameter in spec.parameters
            if (value := parameters.get(parameter.name, parameter.domain.default)) is not None
        },
    }


def metric_of(spec: StudySpec, role: str) -> str:
    """By which metric of its result a trial of this role is judged."""
    if role == _FINAL and spec.final_evaluation is not None:
        return spec.final_evaluation.metric
    return spec.objective.metric


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a trial finds and leaves things: known to the runtime alone. What is None is not offered."""

    result_file: str
    checkpoint_dir: str | None = None
    output_dir: str | None = None
    endpoint: str | None = None
    token_file: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables that say so."""
        places = {
            "TUNING_RESULT_FILE": self.result_file,
            "TUNING_CHECKPOINT_DIR": self.checkpoint_dir,
            "TUNING_OUTPUT_DIR": self.output_dir,
            "TUNING_ENDPOINT": self.endpoint,
            "TUNING_TOKEN_FILE": self.token_file,
        }
        return {name: place for name, place in places.items() if place is not None}


def expand(words: Iterable[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """``$(NAME)`` replaced in each word as Kubernetes does it in command, args and env.

    ``$$`` stands for one dollar, and a reference to an unknown name stays as it is written
    (k8s.io/kubernetes third_party/forked/golang/expansion).
    """

    def replacement(found: re.Match[str]) -> str:
        return "$" if found["escaped"] else variables.get(found["name"], found[0])

    return tuple(_REFERENCE.sub(replacement, word) for word in words)


class ResultError(Exception):
    """The text is not a result; the message says why and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a trial says at its end."""

    metrics: Mapping[str, float]
    """By name; a value may be nan or infinite."""
    pruned: bool = False
    """It stopped itself because it was not worth finishing."""
    message: str | None = None
    """A sentence for people."""
    diagnoses: tuple[Diagnosis, ...] = ()
    """What was wrong with the training, the most telling first."""
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Its other texts, by name."""


def parse_result(text: str) -> Result:
    """The result that a trial left: one flat JSON object.

    Numbers are metrics, and so are the strings nan, inf and -inf. ``pruned`` is reserved, a string under ``message``
    is kept, and so are the ``diagnoses``, a list of objects. Other strings are notes. true, false and null are passed over, as is
    a name that no objective may have: a remark must not cost a finished training.

    Raises:
        ResultError: it is too long, not a JSON object, nested, or its ``pruned`` is not true or false.
    """
    document = _object(text)
    pruned = document.pop(_PRUNED, False)
    if not isinstance(pruned, bool):
        raise ResultError(f"the result's pruned is {_shown(pruned)}; write true or false, the word is reserved")
    message = document.pop(_MESSAGE) if isinstance(document.get(_MESSAGE), str) else None
    remarks = diagnoses.read(document.pop(_DIAGNOSES, None))
    metrics = {
        name: number for name, value in document.items() if (number := _metric(name, value)) is not None and _NAME.fullmatch(name)
    }
    notes = {name: value for name, value in document.items() if isinstance(value, str) and diagnoses.number(value) is None}
    return Result(
        metrics=MappingProxyType(metrics), pruned=pruned, message=message, diagnoses=remarks, notes=MappingProxyType(notes)
    )


def _object(text: str) -> dict[str, Any]:
    size = len(text.encode(errors="replace"))
    if size > RESULT_LIMIT:
        raise ResultError(f"the result has {size} bytes, more than {RESULT_LIMIT}; write only the metrics that matter")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ResultError(f'the result is {_shown(text)}, not JSON; write one object such as {{"accuracy": 0.93}}') from None
    if not isinstance(document, dict):
        raise ResultError(f'the result is {_shown(document)}, not an object; write it such as {{"accuracy": 0.93}}')
    return document


def _metric(name: str, value: object) -> float | None:
    if isinstance(value, dict | list):
        raise ResultError(f"the result's {name} is {_shown(value)}; write a flat object, one number for each metric")
    return diagnoses.number(value)


def _written(value: ParameterValue) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = value if isinstance(value, str) else json.dumps(value)
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
