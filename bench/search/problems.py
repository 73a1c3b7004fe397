"""Objectives with a known minimum, to be minimised. The value is the regret: 0 is the best possible."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from tuning_operator.api.parameters import Parameter, Parameters

Regret = Callable[[Parameters], float]


@dataclass(frozen=True)
class Objective:
    """A search space and what it costs to be wrong in it; ``noise`` is the standard deviation of what trials report."""

    name: str
    parameters: tuple[Parameter, ...]
    regret: Regret
    noise: float = 0.0


def _space(*parameters: dict[str, Any]) -> tuple[Parameter, ...]:
    return tuple(Parameter.model_validate(parameter, strict=False) for parameter in parameters)


def _number(values: Parameters, name: str) -> float:
    return cast("float", values[name])


def _branin(values: Parameters) -> float:
    x, y = _number(values, "x"), _number(values, "y")
    curve = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann6(values: Parameters) -> float:
    """Dixon and Szegö, Towards Global Optimisation 2 (1978): minimum -3.32237."""
    x = [_number(values, f"x{i}") for i in range(6)]
    wells = (
        alpha * math.exp(-sum(a * (xi - p) ** 2 for a, xi, p in zip(row, x, centre, strict=True)))
        for alpha, row, centre in zip(_ALPHA, _A, _P, strict=True)
    )
    return 3.322368011391339 - sum(wells)


def _mixed(values: Parameters) -> float:
    """A network's settings: a narrow valley of learning rates whose place depends on optimizer and batch size."""
    centre = {"adam": -3.0, "adamw": -2.8, "sgd": -1.2}[cast("str", values["optimizer"])]
    floor = {"adam": 0.02, "adamw": 0.0, "sgd": 0.01}[cast("str", values["optimizer"])]
    activation = {"relu": 0.02, "gelu": 0.0, "tanh": 0.05}[cast("str", values["activation"])]
    batch = math.log2(_number(values, "batch_size") / 64)
    rate = math.log10(_number(values, "learning_rate")) - centre - 0.15 * batch
    width = math.log2(_number(values, "width") / 256)
    layers = _number(values, "layers") - 4
    dropout = _number(values, "dropout") - 0.25
    return (
        floor
        + activation
        + 0.3 * (1 - math.exp(-(rate**2) / 0.5))
        + 0.01 * batch**2
        + 0.02 * (width + 0.5 * layers) ** 2
        + 0.01 * layers**2
        + 0.5 * (dropout - 0.05 * width) ** 2
    )


def _conditional(values: Parameters) -> float:
    """Three models with settings of their own: the tree is easy with floor 0.05, the mlp is harder with floor 0."""
    scaler = {"none": 0.03, "std": 0.0, "minmax": 0.01}[cast("str", values["scaler"])]
    match values["model"]:
        case "linear":
            well = 0.01 * (math.log10(_number(values, "l2")) + 2) ** 2
            return 0.15 + scaler + well + (0.02 if values["penalty"] == "l1" else 0.0)
        case "tree":
            total = math.log10(_number(values, "eta")) + math.log10(_number(values, "rounds")) - 1.2
            return 0.05 + 0.3 * scaler + 0.08 * total**2 + 0.002 * (_number(values, "depth") - 6) ** 2
        case _:
            rate = math.log10(_number(values, "learning_rate")) + 3 + 0.2 * (_number(values, "layers") - 3)
            width = math.log2(_number(values, "width") / 128)
            activation = {"relu": 0.0, "tanh": 0.02}[cast("str", values["activation"])]
            return (
                scaler
                + activation
                + 0.3 * (1 - math.exp(-(rate**2) / 0.6))
                + 0.008 * width**2
                + 0.006 * (_number(values, "layers") - 3) ** 2
                + 0.3 * (_number(values, "dropout") - 0.2) ** 2
            )


def _real(name: str, low: float, high: float, scale: str = "linear", **more: Any) -> dict[str, Any]:
    return {"name": name, "float": {"min": low, "max": high, "scale": scale, **more.pop("range", {})}, **more}


def _whole(name: str, low: int, high: int, scale: str = "linear", **more: Any) -> dict[str, Any]:
    return {"name": name, "int": {"min": low, "max": high, "scale": scale}, **more}


def _one_of(name: str, *choices: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "categorical": {"choices": choices}, **more}


def _only(parameter: str, *values: str) -> list[dict[str, Any]]:
    return [{"parameter": parameter, "values": values}]


_CUBE = _space(*(_real(f"x{i}", 0.0, 1.0) for i in range(6)))
_TREE, _MLP, _LINEAR = _only("model", "tree"), _only("model", "mlp"), _only("model", "linear")

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("branin", _space(_real("x", -5.0, 10.0), _real("y", 0.0, 15.0)), _branin),
        Objective("hartmann6", _CUBE, _hartmann6),
        Objective("noisy", _CUBE, _hartmann6, noise=0.3),
        Objective(
            "mixed",
            _space(
                _one_of("optimizer", "adam", "adamw", "sgd"),
                _one_of("activation", "relu", "gelu", "tanh"),
                _real("learning_rate", 1e-5, 1.0, "log"),
                _whole("batch_size", 8, 512, "log"),
                _whole("width", 16, 1024, "log"),
                _whole("layers", 1, 8),
                _real("dropout", 0.0, 0.6, range={"step": 0.05}),
            ),
            _mixed,
        ),
        Objective(
            "conditional",
            _space(
                _one_of("model", "linear", "tree", "mlp"),
                _one_of("scaler", "none", "std", "minmax"),
                _real("l2", 1e-6, 10.0, "log", when=_LINEAR),
                _one_of("penalty", "l1", "l2", when=_LINEAR),
                _whole("depth", 2, 12, when=_TREE),
                _real("eta", 1e-3, 0.5, "log", when=_TREE),
                _whole("rounds", 10, 1000, "log", when=_TREE),
                _real("learning_rate", 1e-5, 1.0, "log", when=_MLP),
                _whole("layers", 1, 5, when=_MLP),
                _whole("width", 8, 512, "log", when=_MLP),
                _real("dropout", 0.0, 0.6, when=_MLP),
                _one_of("activation", "relu", "tanh", when=_MLP),
            ),
            _conditional,
        ),
    )
}
