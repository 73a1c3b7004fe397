"""What a training can be told, declared once: flags, tuned parameters, defaults, checks and help.

A study's parameter of the same name wins over the flag, the flag over the default.
"""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, Literal, NoReturn, get_args, get_type_hints

from tuning_client import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class About:
    """What a setting means and which numbers it takes."""

    help: str
    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    tunable: bool = True

    def contains(self, value: float) -> bool:
        """Whether the setting takes this number; no setting takes nan or inf."""
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def range(self) -> str:
        """The numbers it takes, in words."""
        bounds = (("at least", self.at_least), ("above", self.above), ("below", self.below))
        return " and ".join(f"{word} {bound:.10g}" for word, bound in bounds if bound is not None)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides what a training does, apart from its seed."""

    # The same for every trial of a study: trials that differ here could not be compared.
    dataset: Annotated[Literal["digits"], About(help="what to learn from", tunable=False)] = "digits"
    split_seed: Annotated[
        int, About(help="seed of the split into training and validation rows", at_least=0, below=2**32, tunable=False)
    ] = 0
    device: Annotated[
        Literal["auto", "cpu", "cuda"], About(help="where to train; auto: the GPU where there is one", tunable=False)
    ] = "auto"
    threads: Annotated[
        int, About(help="CPU threads of torch; results repeat bit for bit with the same number", at_least=1, tunable=False)
    ] = 1

    model: Annotated[Literal["mlp"], About(help="which network")] = "mlp"
    layers: Annotated[int, About(help="hidden layers", at_least=1)] = 1
    hidden_units: Annotated[int, About(help="units of each hidden layer", at_least=1)] = 64
    dropout: Annotated[float, About(help="share of hidden units switched off in each step", at_least=0, below=1)] = 0.0

    optimizer: Annotated[Literal["adam", "adamw", "sgd"], About(help="how gradients become steps")] = "adam"
    learning_rate: Annotated[float, About(help="size of the optimiser's steps", above=0)] = 1e-3
    momentum: Annotated[float, About(help="share of the last step kept in the next; sgd only", at_least=0, below=1)] = 0.9
    weight_decay: Annotated[float, About(help="pull of the weights towards zero", at_least=0)] = 0.0

    batch_size: Annotated[int, About(help="rows of one step", at_least=1)] = 64
    epochs: Annotated[int, About(help="most passes over the training rows", at_least=1)] = 20
    patience: Annotated[
        int, About(help="stop after this many epochs without a better val_accuracy; 0: never stop early", at_least=0)
    ] = 0
    min_delta: Annotated[
        float, About(help="an epoch is better when its val_accuracy is above the best by more than this", at_least=0)
    ] = 0.0


_TYPES: Final[Mapping[str, Any]] = get_type_hints(Settings)
_ABOUT: Final[Mapping[str, About]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}
_DEFAULTS: Final[Mapping[str, Any]] = {field.name: field.default for field in fields(Settings)}


class _Parser(argparse.ArgumentParser):
    """An argparse that raises our one sentence where it would print its usage and exit with 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see --help")


def resolve(arguments: Sequence[str], parameters: Mapping[str, object]) -> Settings:
    """The settings of one training.

    Args:
        arguments: command line, without the program's name.
        parameters: the trial's own values by name; they win over the command line.

    Raises:
        ConfigurationError: an unknown setting, or a value that a setting does not take.
    """
    flags = {name: _checked(_flag(name), name, value) for name, value in _flags(arguments).items()}
    tuned = {_tunable(name): _checked(f"parameter {name}", name, value) for name, value in parameters.items()}
    values: dict[str, Any] = flags | tuned
    return Settings(**values)


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    parser = _Parser(
        prog="python -m tuning_trainer",
        description="One training, by hand or as a trial. A study's parameter of the same name wins over a flag.",
        allow_abbrev=False,
    )
    for name, about in _ABOUT.items():
        words = [about.help, _choices(name) or about.range(), f"default {_DEFAULTS[name]}"]
        parser.add_argument(
            _flag(name), default=argparse.SUPPRESS, metavar="VALUE", help="; ".join(word for word in words if word)
        )
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]} is not a setting; {_meant(unknown[0].partition('=')[0], list(map(_flag, _ABOUT)))}"
        )
    return vars(known)


def _tunable(name: str) -> str:
    if name not in _ABOUT:
        raise ConfigurationError(f"parameter {name} is not a setting of this trainer; {_meant(name, list(_ABOUT))}")
    if not _ABOUT[name].tunable:
        raise ConfigurationError(
            f"parameter {name} must be the same for every trial; set it with {_flag(name)} and do not tune it"
        )
    return name


def _checked(where: str, name: str, value: object) -> object:
    """The value in the setting's own type. Choices of a categorical parameter arrive as text, as flags do."""
    kind, about, example = _TYPES[name], _ABOUT[name], _DEFAULTS[name]
    if kind not in (int, float):
        if value not in get_args(kind):
            raise ConfigurationError(f"{where}: {value!r} is unknown; give {_choices(name)}")
        return value
    number = _number(kind, value)
    if number is None:
        sort = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{where}: {value!r} is not {sort}; give one such as {example}")
    if not about.contains(number):
        raise ConfigurationError(f"{where}: {value} is not {about.range()}; give a number such as {example}")
    return number


def _number(kind: type[int | float], value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (kind is int and isinstance(value, float)):
        return None
    try:
        return kind(value)
    except ValueError:
        return None


def _choices(name: str) -> str:
    *others, last = get_args(_TYPES[name]) or ("",)
    return f"{', '.join(others)} or {last}" if others else str(last)


def _meant(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"the settings are {', '.join(names)}"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
