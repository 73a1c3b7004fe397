"""Search spaces for tests, and a strategy that draws any other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tuning_operator.api.parameters import Parameter
from tuning_operator.api.study import SamplerName
from tuning_operator.search.problem import Problem


def space(*parameters: dict[str, Any]) -> tuple[Parameter, ...]:
    return tuple(Parameter.model_validate(parameter, strict=False) for parameter in parameters)


RATE = {"name": "learning_rate", "float": {"min": 1e-5, "max": 1e-1, "scale": "log", "default": 1e-3}}
BATCH = {"name": "batch_size", "int": {"min": 16, "max": 256, "scale": "log", "default": 64}}
OPTIMIZER = {"name": "optimizer", "categorical": {"choices": ["adam", "sgd"], "default": "adam"}}
MOMENTUM = {
    "name": "momentum",
    "float": {"min": 0.0, "max": 0.99, "default": 0.9},
    "when": [{"parameter": "optimizer", "values": ["sgd"]}],
}
DROPOUT = {"name": "dropout", "float": {"min": 0.0, "max": 0.6, "step": 0.25, "default": 0.0}}
LAYERS = {"name": "layers", "int": {"min": 1, "max": 9, "step": 3, "default": 4}}

EVERYTHING = space(RATE, BATCH, OPTIMIZER, MOMENTUM, DROPOUT, LAYERS)
COUNTABLE = space(OPTIMIZER, DROPOUT, LAYERS)


def problem(
    parameters: tuple[Parameter, ...] = EVERYTHING,
    *,
    sampler: SamplerName = "tpe",
    key: str = "study",
    seed: int = 7,
    parallelism: int = 4,
) -> Problem:
    return Problem(
        key=key,
        parameters=parameters,
        direction="maximize",
        sampler=sampler,
        seed=seed,
        grid_points=3,
        max_trials=30,
        parallelism=parallelism,
    )


_DECIMALS = st.decimals(-1000, 1000, places=3).map(float)
_CHOICES = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, unique=True)


@st.composite
def _float(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        low = draw(st.sampled_from([1e-8, 1e-3, 0.5]))
        return {"min": low, "max": low * draw(st.sampled_from([1.5, 10.0, 1e6])), "scale": "log"}
    low, width = draw(_DECIMALS), draw(st.sampled_from([0.001, 0.3, 1.0, 77.7, 5000.0]))
    domain = {"min": low, "max": low + width}
    if draw(st.booleans()):
        domain["step"] = (domain["max"] - low) / draw(st.sampled_from([1.0, 2.5, 7.0, 30.3, 4000.0]))
    return domain


@st.composite
def _int(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        low = draw(st.integers(1, 100))
        return {"min": low, "max": low + draw(st.sampled_from([1, 7, 1000, 10**9])), "scale": "log"}
    low, width = draw(st.integers(-1000, 1000)), draw(st.sampled_from([1, 2, 10, 999, 10**6]))
    return {"min": low, "max": low + width, "step": draw(st.integers(1, min(width, 5)))}


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Parameter, ...]:
    """Any search space of one to six parameters: all kinds and scales, steps that do not divide, nested conditions."""
    parents: dict[str, list[str]] = {}
    parameters = []
    for position in range(draw(st.integers(1, 6))):
        name = f"p{position}"
        kind = draw(st.sampled_from(["float", "int", "categorical"]))
        parameter: dict[str, Any] = {"name": name}
        if draw(st.booleans()) and parents:
            parent = draw(st.sampled_from(sorted(parents)))
            values = draw(st.lists(st.sampled_from(parents[parent]), min_size=1, unique=True))
            parameter["when"] = [{"parameter": parent, "values": values}]
        if kind == "categorical":
            parents[name] = draw(_CHOICES)
            parameter[kind] = {"choices": parents[name]}
        else:
            parameter[kind] = draw(_float() if kind == "float" else _int())
        parameters.append(parameter)
    return space(*parameters)
