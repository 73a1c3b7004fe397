"""One valid manifest as a document, ways to spoil it, and a strategy that draws any other valid one."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tuning_operator.api.parameters import Parameter

Document = dict[str, Any]

_GOOD: Document = {
    "apiVersion": "tuningstudy.dev/v1alpha1",
    "kind": "TuningStudy",
    "metadata": {"name": "digits"},
    "spec": {
        "objectives": [{"metric": "val_accuracy", "direction": "maximize"}],
        "parameters": [
            {"name": "learning_rate", "float": {"min": 1e-5, "max": 0.1, "scale": "log", "default": 1e-3}},
            {"name": "batch_size", "int": {"min": 16, "max": 256, "scale": "log", "default": 64}},
            {"name": "optimizer", "categorical": {"choices": ["adam", "sgd"], "default": "adam"}},
            {
                "name": "momentum",
                "float": {"min": 0.0, "max": 0.9, "step": 0.1, "default": 0.9},
                "when": [{"parameter": "optimizer", "values": ["sgd"]}],
            },
        ],
        "budget": {"maxTrials": 60},
        "trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "tuning-trainer"}]}}},
    },
}

NOTHING = object()


def good() -> Document:
    return copy.deepcopy(_GOOD)


def changed(changes: dict[str, Any]) -> Document:
    """The valid manifest with values set at paths such as ``spec.parameters.0.float.min``; NOTHING removes one."""
    document = good()
    for path, value in changes.items():
        *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
        node: Any = document
        for step in parents:
            if isinstance(node, dict):
                node.setdefault(step, {})
            node = node[step]
        if value is NOTHING:
            del node[last]
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
    return document


def space(*parameters: Document) -> tuple[Parameter, ...]:
    return tuple(Parameter.model_validate_json(json.dumps(parameter)) for parameter in parameters)


_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_CHOICES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=9), min_size=2, max_size=5, unique=True
)


@st.composite
def _float_ranges(draw: st.DrawFn) -> Document:
    log = draw(st.booleans())
    ends = st.floats(1e-300 if log else -1e18, 1e18)
    low, high = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    domain = {"min": low, "max": high, "scale": "log" if log else "linear"}
    return domain | draw(st.sampled_from([{}, {"default": low}, {"default": high}]))


@st.composite
def _stepped_ranges(draw: st.DrawFn) -> Document:
    low, step, steps = draw(st.integers(-1000, 1000)), draw(st.integers(1, 50)), draw(st.integers(1, 40))
    place = draw(st.integers(0, steps))
    return {"min": low / 100, "max": (low + step * steps) / 100, "step": step / 100, "default": (low + step * place) / 100}


@st.composite
def _int_ranges(draw: st.DrawFn) -> Document:
    log = draw(st.booleans())
    low, high = sorted(draw(st.lists(st.integers(1 if log else -(2**53), 2**53), min_size=2, max_size=2, unique=True)))
    domain = {"min": low, "max": high, "scale": "log" if log else "linear"}
    return domain | draw(st.sampled_from([{}, {"default": low}, {"default": high}]))


@st.composite
def parameter_documents(draw: st.DrawFn) -> list[Document]:
    """One to six parameters of all kinds, some of them conditional, some without a default."""
    parents: dict[str, list[str]] = {}
    parameters = []
    for position in range(draw(st.integers(1, 6))):
        parameter: Document = {"name": f"p{position}"}
        if draw(st.booleans()) and parents:
            parent = draw(st.sampled_from(sorted(parents)))
            values = draw(st.lists(st.sampled_from(parents[parent]), min_size=1, unique=True))
            parameter["when"] = [{"parameter": parent, "values": values}]
        match draw(st.sampled_from(["float", "stepped", "int", "categorical"])):
            case "float":
                parameter["float"] = draw(_float_ranges())
            case "stepped":
                parameter["float"] = draw(_stepped_ranges())
            case "int":
                parameter["int"] = draw(_int_ranges())
            case _:
                choices = parents[parameter["name"]] = draw(_CHOICES)
                parameter["categorical"] = {"choices": choices}
                if draw(st.booleans()):
                    parameter["categorical"]["default"] = choices[-1]
        parameters.append(parameter)
    return parameters


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Any valid manifest."""
    document = good()
    document["spec"] |= {
        "objectives": [{"metric": "loss", "direction": "minimize", "target": draw(st.none() | _FINITE)}],
        "parameters": draw(parameter_documents()),
        "baseline": {"repeats": 0},
        "search": {"sampler": draw(st.sampled_from(["auto", "random", "gp"])), "seed": draw(st.integers(0, 2**31 - 1))},
        "budget": {"maxTrials": draw(st.integers(1, 10_000)), "maxDuration": draw(st.none() | st.just("1h30m"))},
        "suspend": draw(st.booleans()),
    }
    return document
