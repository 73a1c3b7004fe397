"""A user's own network: `--factory=package.module:function`."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from tuning_client import ConfigurationError
from tuning_trainer.data.problem import Problem
from tuning_trainer.settings import Settings


def custom(settings: Settings, problem: Problem) -> nn.Module:
    """What the factory returns, for rows of this problem.

    The factory is called with the arguments that it names: `input_shape` and `outputs` of the problem, and any setting,
    such as `hidden_units`; with `**settings`, all of them. So it needs to import nothing from here:

        def build(input_shape: tuple[int, ...], outputs: int, *, hidden_units: int, **settings) -> torch.nn.Module

    Raises:
        ConfigurationError: there is no such function, it wants an argument that nothing gives, or it returns no module
            that turns (rows, *input_shape) into (rows, outputs).
    """
    factory = _function(settings.factory)
    offered = {"input_shape": problem.input_shape, "outputs": problem.outputs, **asdict(settings)}
    return _checked(settings.factory, factory(**_arguments(settings.factory, factory, offered)), problem)


def _function(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ConfigurationError(f"--factory: {name!r} names no function; model: custom needs one such as nets.small:build")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(
            f"--factory: module {module_name} cannot be imported ({error});"
            " put its folder on PYTHONPATH, or install what it needs"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        functions = [name for name, value in vars(module).items() if callable(value)]
        close = difflib.get_close_matches(function_name, functions, n=1)
        meant = f"did you mean {close[0]}?" if close else "give one that returns a torch.nn.Module"
        raise ConfigurationError(f"--factory: module {module_name} has no function {function_name}; {meant}")
    called: Callable[..., Any] = function
    return called


def _arguments(name: str, factory: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        wanted = set(offered)
    else:
        wanted = {parameter.name for parameter in parameters}
    for parameter in parameters:
        needed = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if needed and parameter.name not in offered:
            close = difflib.get_close_matches(parameter.name, offered, n=1)
            meant = f"did you mean {close[0]}?" if close else "it can have input_shape, outputs and every setting"
            raise ConfigurationError(f"--factory: {name} wants an argument {parameter.name}, which is no setting; {meant}")
    return {argument: value for argument, value in offered.items() if argument in wanted}


def _checked(name: str, model: object, problem: Problem) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise ConfigurationError(f"--factory: {name} returned {type(model).__name__}; let it return a torch.nn.Module")
    shape = _answer_shape(name, model, problem)
    expected = (2, problem.outputs)
    if shape != expected:
        raise ConfigurationError(
            f"--factory: the module of {name} turns 2 rows of shape {problem.input_shape} into {shape};"
            f" let it return {expected}, one logit for each class or one number"
        )
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ConfigurationError(f"--factory: the module of {name} has no weight that learns; leave requires_grad on")
    return model


@torch.no_grad()
def _answer_shape(name: str, model: nn.Module, problem: Problem) -> tuple[int, ...] | str:
    """Shape of the answer to two rows of zeros; nothing of it is left behind in the module or the random numbers."""
    rows = torch.zeros(2, *problem.input_shape)
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            answer = model(rows)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"--factory: the module of {name} does not take rows of shape {problem.input_shape}: {reason}"
        ) from error
    finally:
        model.train()
    return tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
