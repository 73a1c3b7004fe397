"""The reference of the trainer, made from its settings and diagnoses: ``python -m tuning_trainer.reference``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final, get_args

from tuning_trainer import memory
from tuning_trainer.diagnosis import RULES
from tuning_trainer.resolve import ABOUT, DEFAULTS, TYPES, flag

_INTRODUCTION: Final = """\
<!-- Made from trainer/tuning_trainer/ by `python -m tuning_trainer.reference`. -->

# The trainer's settings and diagnoses

What it is and how to use it with your own data or model stands in [The trainer](../trainer.md).
"""

_TUNABLE: Final = """
## Settings that a study may tune

As a flag for all trials, `--learning-rate=0.003`, or as a parameter of the study, `name: learning_rate`. The parameter wins over
the flag, the flag over the default.

| setting | takes | default | says |
|---|---|---|---|
"""

_FIXED: Final = """
## Settings that are the same for all trials

Flags alone: trials that differed here could not be compared, or differ in nothing that matters.

| flag | takes | default | says |
|---|---|---|---|
"""

_DIAGNOSES: Final = """
## Diagnoses

What a result may say was wrong with its training, the most telling first, each with the figure that showed it and a sentence of
advice that names settings and values. Most need ten epochs to tell anything.

| diagnosis | says |
|---|---|
"""


def render() -> str:
    """The file docs/reference/trainer.md."""
    tunable = (_setting(name, shown_as=name) for name, about in ABOUT.items() if about.tunable)
    fixed = (_setting(name, shown_as=flag(name)) for name, about in ABOUT.items() if not about.tunable)
    return "".join((_INTRODUCTION, _TUNABLE, *tunable, _FIXED, *fixed, _DIAGNOSES, *_diagnoses()))


def _setting(name: str, *, shown_as: str) -> str:
    default = f"`{DEFAULTS[name]}`" if DEFAULTS[name] != "" else ""
    return f"| `{shown_as}` | {_taken(name)} | {default} | {ABOUT[name].help} |\n"


def _taken(name: str) -> str:
    words = get_args(TYPES[name])
    if words:
        return ", ".join(f"`{word}`" for word in words)
    kind = {int: "whole number", float: "number", str: "text"}[TYPES[name]]
    return f"{kind} {ABOUT[name].range()}".rstrip()


def _diagnoses() -> Iterator[str]:
    yield f"| `{memory.NAME}` | Network and batches do not fit into the memory. The trial is not repeated. |\n"
    for rule in RULES:
        assert rule.__doc__, "what a rule sees stands in its docstring"
        yield f"| `{rule.__name__.replace('_', '-')}` | {' '.join(rule.__doc__.partition(chr(10) * 2)[0].split())} |\n"


if __name__ == "__main__":
    sys.stdout.write(render())
