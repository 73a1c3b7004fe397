"""Flags and a trial's parameters become the settings of one training, or one sentence that says what is wrong."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, NoReturn, get_args, get_type_hints

from tuning_client import ConfigurationError
from tuning_trainer.settings import About, Settings

TYPES: Final[Mapping[str, Any]] = get_type_hints(Settings)
ABOUT: Final[Mapping[str, About]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}
DEFAULTS: Final[Mapping[str, Any]] = {field.name: field.default for field in fields(Settings)}


class _Parser(argparse.ArgumentParser):
    """An argparse that raises our one sentence where it would print its usage and exit with 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see --help")


def resolve(arguments: Sequence[str], parameters: Mapping[str, object], *, folds: int | None = None) -> Settings:
    """The settings of one training.

    Args:
        arguments: command line, without the program's name.
        parameters: the trial's own values by name; they win over the command line.
        folds: how many the study asks for; None where it asks for none.

    Raises:
        ConfigurationError: an unknown setting, a value that a setting does not take, or other folds than the study's.
    """
    flags = {name: _checked(flag(name), name, value) for name, value in _flags(arguments).items()}
    tuned = {_tunable(name): _checked(f"parameter {name}", name, value) for name, value in parameters.items()}
    values: dict[str, Any] = flags | tuned
    if folds is not None and values.setdefault("folds", folds) != folds:
        raise ConfigurationError(
            f"--folds: {values['folds']} is not the study's spec.validation.folds, which is {folds}; leave the flag out"
        )
    return Settings(**values)


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    parser = _Parser(
        prog="python -m tuning_trainer",
        description="One training, by hand or as a trial. A study's parameter of the same name wins over a flag.",
        allow_abbrev=False,
    )
    for name, about in ABOUT.items():
        words = [about.help, _choices(name) or about.range(), f"default {DEFAULTS[name]}" if DEFAULTS[name] != "" else ""]
        parser.add_argument(
            flag(name), default=argparse.SUPPRESS, metavar="VALUE", help="; ".join(word for word in words if word)
        )
    known, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is not a setting; {_meant(unknown[0].partition('=')[0], list(map(flag, ABOUT)))}")
    return vars(known)


def _tunable(name: str) -> str:
    if name not in ABOUT:
        raise ConfigurationError(f"parameter {name} is not a setting of this trainer; {_meant(name, list(ABOUT))}")
    if not ABOUT[name].tunable:
        raise ConfigurationError(
            f"parameter {name} must be the same for every trial; set it with {flag(name)} and do not tune it"
        )
    return name


def _checked(where: str, name: str, value: object) -> object:
    """The value in the setting's own type. Choices of a categorical parameter arrive as text, as flags do."""
    kind, about, example = TYPES[name], ABOUT[name], DEFAULTS[name]
    if kind is str:
        return value
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
    *others, last = get_args(TYPES[name]) or ("",)
    return f"{', '.join(others)} or {last}" if others else str(last)


def _meant(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"the settings are {', '.join(names)}"


def flag(name: str) -> str:
    """How a setting is called on the command line."""
    return "--" + name.replace("_", "-")
