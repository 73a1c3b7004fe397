"""Parameters as Optuna stores them: a float beside the JSON text of a distribution. Without importing Optuna.

Held to the real `optuna.distributions` by a test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tuning_operator.api.parameters import CategoricalChoices, Domain, FloatRange, IntRange, ParameterValue


def distribution_json(domain: Domain) -> str:
    """The text that `optuna.distributions.distribution_to_json` gives for this range, byte for byte."""
    match domain:
        case FloatRange():
            return _json("FloatDistribution", step=domain.step, low=domain.min, high=_highest(domain), log=domain.scale == "log")
        case IntRange():
            step = domain.step or 1
            high = domain.max - (domain.max - domain.min) % step
            return _json("IntDistribution", log=domain.scale == "log", step=step, low=domain.min, high=high)
        case CategoricalChoices():
            return _json("CategoricalDistribution", choices=list(domain.choices))


def stored_value(domain: Domain, value: ParameterValue) -> float:
    """Optuna's internal representation: the number itself, or the position among the choices."""
    return domain.choices.index(str(value)) if isinstance(domain, CategoricalChoices) else float(value)


def value_reader(text: str) -> Callable[[float], ParameterValue]:
    """The inverse of `stored_value` for a distribution's JSON text."""
    distribution = json.loads(text)
    match distribution["name"]:
        case "FloatDistribution":
            return float
        case "IntDistribution":
            return int
        case "CategoricalDistribution":
            choices: list[str] = distribution["attributes"]["choices"]
            return lambda position: choices[int(position)]
        case name:
            raise ValueError(f"distribution {name} was not written by this program")


def _json(name: str, **attributes: Any) -> str:
    return json.dumps({"name": name, "attributes": attributes})


def _highest(domain: FloatRange) -> float:
    """The last value on the grid, in decimal arithmetic as Optuna computes it: 0.1 * 3 is not 0.3 in binary."""
    if domain.step is None:
        return domain.max
    low, high, step = (Decimal(str(bound)) for bound in (domain.min, domain.max, domain.step))
    steps, rest = divmod(high - low, step)
    return float(steps * step + low) if rest else domain.max
