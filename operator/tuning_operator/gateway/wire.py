"""JSON of the API: bodies decoded, with a sentence for whoever wrote a wrong one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tuning_operator.api.contract import Result, ResultError, parse_result
from tuning_operator.gateway.desk import AttemptRef, Point, TrialCard

MAX_POINTS: Final = 1_000
"""Points in one request."""

LARGEST_STEP: Final = 2**31 - 1
"""The study database keeps steps as 32-bit integers."""

_LONGEST_EXCERPT: Final = 80

_NON_FINITE: Final = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class MalformedError(ValueError):
    """A body is not what the API takes. The message names the field, the value and the remedy."""


def decode_points(body: bytes) -> tuple[Point, ...]:
    """The points of ``{"points": [{"step": 3, "value": 0.93}]}``, in their order.

    Raises:
        MalformedError: the body is anything else.
    """
    points = _object(body).get("points")
    if not isinstance(points, list) or not points:
        raise MalformedError(f'points is {_shown(points)}; send a list such as [{{"step": 3, "value": 0.93}}]')
    if len(points) > MAX_POINTS:
        raise MalformedError(f"points has {len(points)} entries; send at most {MAX_POINTS} in one request")
    return tuple(_point(f"points[{index}]", point) for index, point in enumerate(points))


def decode_result(body: bytes) -> Result:
    """The result, in the form of the result file.

    Raises:
        MalformedError: the body is anything else.
    """
    try:
        return parse_result(body.decode())
    except UnicodeDecodeError as error:
        raise MalformedError("the body is not UTF-8; send one JSON object in UTF-8") from error
    except ResultError as error:
        raise MalformedError(str(error)) from error


def encode_trial(ref: AttemptRef, card: TrialCard) -> dict[str, Any]:
    """What a trial is told about itself."""
    return {
        "study": ref.study,
        "trial": ref.trial,
        "attempt": ref.attempt,
        "role": card.role.value,
        "seed": card.seed,
        "metric": card.metric,
        "direction": card.direction,
        "parameters": dict(card.parameters),
    }


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the body is not JSON; send one JSON object in UTF-8") from error
    if not isinstance(document, dict):
        raise MalformedError(f"the body is {_shown(document)}; send one JSON object")
    return document


def _point(path: str, point: object) -> Point:
    if not isinstance(point, dict):
        raise MalformedError(f'{path} is {_shown(point)}; send an object such as {{"step": 3, "value": 0.93}}')
    return Point(step=_step(f"{path}.step", point.get("step")), value=_value(f"{path}.value", point.get("value")))


def _step(path: str, step: object) -> int:
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= LARGEST_STEP:
        raise MalformedError(f"{path} is {_shown(step)}; a step is a whole number from 0 to {LARGEST_STEP}")
    return step


def _value(path: str, value: object) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer of more than 308 digits
            pass
    raise MalformedError(f'{path} is {_shown(value)}; send a number, or one of the strings "nan", "inf", "-inf"')


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."
